"""Tests of tf_finetune/runs/row_record.py."""

import json
import math

import pytest
import sample_pictures

from tf_finetune import errors, files
from tf_finetune.config import data_options
from tf_finetune.inputs import input_protocol, input_rows
from tf_finetune.runs import moved_pictures, row_record
from tf_finetune.workdir import workdir_files

_INPUTS = input_protocol.list_inputs(
    data_options.DataOptions(
        image_column=("front", "back"),
        numeric_columns=("area", "rooms"),
        categorical_columns=("zip", "zip:2"),
    )
)


@pytest.fixture
def described(tmp_path):
    """A row with a missing number, and its entry as JSON gives it back."""
    paths = tuple(str(tmp_path / name) for name in ("a.png", "b.png"))
    for path in paths:
        files.write_text(path, path)
    row = input_rows.Row(
        where="line 2",
        values={
            "images": paths,
            "numbers": (math.nan, 3.5),
            "words": ("94501",),
        },
    )
    pictures = tuple(
        sample_pictures.make_picture(path, "x", files.sha256(path))
        for path in paths
    )
    joined = input_rows.JoinedRows(rows=(row,), pictures=(pictures,))
    entry = json.loads(json.dumps(row_record.describe_row(joined, 0)))
    return row, entry


def _find(entry, tmp_path, root=None):
    return row_record.find_rows(
        workdir_files.Workdir(tmp_path),
        [entry],
        moved_pictures.PictureFinder(root),
        _INPUTS,
    )


def test_a_row_comes_back_with_its_missing_number(described, tmp_path):
    row, entry = described
    assert entry["values"]["numbers"] == [None, 3.5]
    (found,) = _find(entry, tmp_path)
    assert found.paths == row.paths
    assert found.values["words"] == ("94501",)
    assert math.isnan(found.values["numbers"][0])
    assert found.values["numbers"][1] == 3.5


def test_a_row_counts_only_while_all_its_pictures_are_unchanged(
    described, tmp_path
):
    row, entry = described
    files.write_text(row.paths[1], "another picture")
    assert _find(entry, tmp_path) == [None]


def test_pictures_are_found_where_they_were_moved(described, tmp_path):
    row, entry = described
    (tmp_path / "new").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / name).rename(tmp_path / "new" / name)
    (found,) = _find(entry, tmp_path, root=str(tmp_path / "new"))
    assert found.paths[0] == str(tmp_path / "new" / "a.png")
    assert row.paths != found.paths


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": [1.0]},
        {"numbers": ["1", 2.0]},
        {"words": [3]},
        {"images": ["a.png"]},
    ],
)
def test_entries_of_other_columns_are_refused(described, tmp_path, change):
    _, entry = described
    entry["values"] |= change
    with pytest.raises(errors.RunError, match=r"proof\.json"):
        _find(entry, tmp_path)
