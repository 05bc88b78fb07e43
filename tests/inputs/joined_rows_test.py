"""Tests of tf_finetune/inputs/joined_rows.py."""

import pytest

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.inputs import input_rows, joined_rows


def _row(where: str, *paths: str) -> input_rows.Row:
    return input_rows.Row(where=where, values={"images": paths})


def _data(**splits: str) -> examples.ImageData:
    return examples.ImageData(
        class_names=("y",),
        pictures=tuple(
            examples.Picture(
                path=f"/x/{name}",
                label=(1.0,),
                # e and f are the same picture.
                sha256="e" if name == "f" else name,
                width=1,
                height=1,
                split=split,
            )
            for name, split in splits.items()
        ),
        dropped=(),
        fingerprint="",
    )


def test_rows_are_joined_and_incomplete_ones_named():
    data = _data(a="train", b="train", c="test", d="train", e="train")
    found, left_out = joined_rows.join_pictures(
        [
            _row("line 2", "/x/a", "/x/../x/b"),
            _row("line 3", "/x/c", "/x/c"),
            _row("line 4", "/x/c", "/x/d"),
            _row("line 5", "/x/a", "/x/gone"),
        ],
        data,
    )
    assert [row.where for row in found["train"].rows] == ["line 2"]
    assert [row.where for row in found["test"].rows] == ["line 3"]
    assert found["train"].names == ["a", "b"]
    assert "test and train" in left_out["line 4"]
    assert "/x/gone" in left_out["line 5"]


def test_rows_that_share_a_picture_are_one_group():
    data = _data(a="train", b="train", c="train", e="train", f="train")
    found, _ = joined_rows.join_pictures(
        [
            _row("line 2", "/x/a", "/x/e"),
            _row("line 3", "/x/b", "/x/f"),
            _row("line 4", "/x/c", "/x/c"),
        ],
        data,
    )
    pictures = found["train"].pictures
    grouped = joined_rows.JoinedRows(
        rows=found["train"].rows, pictures=pictures
    )
    first, second, third = grouped.groups
    assert first == second != third


def test_a_split_without_a_row_is_an_error():
    with pytest.raises(errors.DataError, match="train split"):
        joined_rows.join_pictures([_row("line 2", "/x/no")], _data(a="train"))


def test_a_row_is_one_example_with_the_label_of_its_pictures():
    data = _data(a="train", b="train", c="test", d="test")
    joined, _ = joined_rows.join_pictures(
        [_row("line 2", "/x/a", "/x/b"), _row("line 3", "/x/d", "/x/c")], data
    )
    rows = joined_rows.make_row_data(data, joined)
    assert [each.path for each in rows.split("train")] == ["/x/a"]
    assert [each.path for each in rows.split("test")] == ["/x/d"]
    assert rows.pictures[0].label == (1.0,)
