"""Tests of tf_finetune/serving/version_files.py: damaged and foreign files."""

import pytest

from tf_finetune import errors
from tf_finetune.serving import version_files


@pytest.mark.parametrize("content", [None, b"", b"no graph"])
def test_a_folder_that_is_no_saved_model_is_an_error(tmp_path, content):
    (tmp_path / "1").mkdir()
    if content is not None:
        (tmp_path / "1" / "saved_model.pb").write_bytes(content)
    with pytest.raises(errors.RunError, match="cannot be loaded"):
        version_files.load_version(tmp_path / "1", name="x")


@pytest.mark.parametrize("name", ["labels.txt", "columns.json"])
def test_assets_are_regular_files_of_the_export_and_bounded(tmp_path, name):
    folder = tmp_path / "1"
    (folder / "assets").mkdir(parents=True)
    read = {
        "labels.txt": version_files._read_labels,
        "columns.json": version_files._read_columns,
    }
    with open(folder / "assets" / name, "wb") as file:
        file.truncate(2**30)
    with pytest.raises(OSError, match="1,073,741,824 bytes; more than"):
        read[name](folder)
    (folder / "assets" / name).unlink()
    (tmp_path / "secret").write_text("a\n")
    (folder / "assets" / name).symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="link to a file outside"):
        read[name](folder)


def test_columns_of_endless_depth_are_none(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "columns.json").write_text("[" * 100_000)
    assert version_files._read_columns(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, {}),
        ('{"image_bytes": ["a"], "words": []}',
         {"image_bytes": ["a"], "words": []}),
        # Other people's models may have such a file, too.
        ('["a", "b"]', {}),
        ('{"columns": 3}', {}),
        ('{"image_bytes": "a"}', {}),
        ('{"image_bytes": ["a"], "words": [3]}', {}),
        ("no JSON", {}),
        ("\x80", {}),
    ],
)  # fmt: skip
def test_columns_are_those_of_a_model_of_rows(tmp_path, text, expected):
    (tmp_path / "assets").mkdir()
    if text:
        (tmp_path / "assets" / "columns.json").write_text(text, "latin-1")
    assert version_files._read_columns(tmp_path) == expected


def test_labels_end_at_line_feeds_alone(tmp_path):
    (tmp_path / "assets").mkdir()
    content = "a\u2028b\nc\x0bd\r\ne\x85\n".encode()
    (tmp_path / "assets" / "labels.txt").write_bytes(content)
    assert version_files._read_labels(tmp_path) == (
        "a\u2028b",
        "c\x0bd\r",
        "e\x85",
    )
