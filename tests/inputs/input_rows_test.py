"""Tests of tf_finetune/inputs/input_rows.py."""

import math

import pytest
import sample_pictures

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples
from tf_finetune.inputs import input_protocol, input_rows

_TEXT = (
    "front,back,area,zip,price\na.png,b.png,12.5,94501,7\nc.png,d.png,,Ü2,8\n"
)


@pytest.fixture
def read(tmp_path):
    def call(text: str = _TEXT):
        path = tmp_path / "t.csv"
        path.write_text(text, encoding="utf-8")
        columns = {
            "image_column": ("front", "back"),
            "numeric_columns": ("area",),
            "categorical_columns": ("zip", "zip:3"),
        }
        options = data_options.DataOptions(data=str(path), **columns)
        return options, input_rows.read_table(options)

    return call


def test_rows_hold_pictures_numbers_and_words(read, tmp_path):
    options, (first, second) = read()
    assert first.paths == (str(tmp_path / "a.png"), str(tmp_path / "b.png"))
    assert first.values["numbers"] == (12.5,)
    assert math.isnan(second.values["numbers"][0])
    assert first.values["words"] == ("94501",) and second.where == "line 3"
    values = input_rows.stack_rows(
        input_protocol.list_inputs(options), [first, second]
    )
    assert list(values) == ["images", "numbers", "words"]
    assert values["words"].tolist() == [["94501", "945"], ["Ü2", "Ü2"]]


def test_a_request_holds_bytes_numbers_and_whole_words(read, tmp_path):
    options, rows = read()
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    sent = input_rows.stack_requests(input_protocol.list_inputs(options), rows)
    assert list(sent) == ["image_bytes", "numbers", "words"]
    assert sent["image_bytes"].tolist() == [[b"a", b"b"], [b"c", b"d"]]
    assert sent["numbers"].dtype == "float32"
    assert sent["words"].tolist() == [[b"94501"], ["Ü2".encode()]]


def test_a_number_that_is_none_is_named_with_its_row(read):
    with pytest.raises(errors.DataError, match="line 2: the number 'area'"):
        read(_TEXT.replace("12.5", "large"))


def test_a_word_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"image,zip\na.png,9\xff\n")
    options = data_options.DataOptions(
        data=str(tmp_path / "t.csv"), categorical_columns=("zip",)
    )
    with pytest.raises(errors.DataError, match="line 2: the word 'zip'"):
        input_rows.read_table(options)


def test_numbers_are_those_that_a_model_in_float32_takes(read):
    options, rows = read(_TEXT.replace("12.5", "1700000001"))
    numbers = input_rows.stack_rows(input_protocol.list_inputs(options), rows)[
        "numbers"
    ]
    assert numbers.dtype == "float64" and numbers[0, 0] == 1_700_000_000
    with pytest.raises(errors.DataError, match="'area' is '1e39'; .*float32"):
        read(_TEXT.replace("12.5", "1e39"))


def test_a_missing_column_names_its_flag(read):
    with pytest.raises(errors.DataError, match="--categorical_columns"):
        read(_TEXT.replace("zip", "code"))


def test_a_beginning_needs_a_length():
    assert data_options.split_prefix("zip:3") == ("zip", 3)
    with pytest.raises(errors.UsageError, match="zip:x"):
        data_options.split_prefix("zip:x")


def test_single_pictures_have_no_inputs_of_rows():
    assert input_protocol.list_inputs(data_options.DataOptions()) == ()


def _row(where: str, *paths: str) -> input_rows.Row:
    return input_rows.Row(where=where, values={"images": paths})


def _data(**splits: str) -> examples.ImageData:
    return sample_pictures.make_data(
        ("y",),
        (
            # e and f are the same picture.
            sample_pictures.make_picture(
                f"/x/{name}", (1.0,), "e" if name == "f" else name, split
            )
            for name, split in splits.items()
        ),
    )


def test_rows_are_joined_and_incomplete_ones_named():
    data = _data(a="train", b="train", c="test", d="train", e="train")
    found, left_out = input_rows.join_pictures(
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
    found, _ = input_rows.join_pictures(
        [
            _row("line 2", "/x/a", "/x/e"),
            _row("line 3", "/x/b", "/x/f"),
            _row("line 4", "/x/c", "/x/c"),
        ],
        data,
    )
    pictures = found["train"].pictures
    grouped = input_rows.JoinedRows(rows=found["train"].rows, pictures=pictures)
    first, second, third = grouped.groups
    assert first == second != third


def test_a_split_without_a_row_is_an_error():
    with pytest.raises(errors.DataError, match="train split"):
        input_rows.join_pictures([_row("line 2", "/x/no")], _data(a="train"))


def test_a_row_is_one_example_with_the_label_of_its_pictures():
    data = _data(a="train", b="train", c="test", d="test")
    joined, _ = input_rows.join_pictures(
        [_row("line 2", "/x/a", "/x/b"), _row("line 3", "/x/d", "/x/c")], data
    )
    rows = input_rows.make_row_data(data, joined)
    assert [each.path for each in rows.split("train")] == ["/x/a"]
    assert [each.path for each in rows.split("test")] == ["/x/d"]
    assert rows.pictures[0].label == (1.0,)
