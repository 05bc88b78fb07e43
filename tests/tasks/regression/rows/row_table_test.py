"""Tests of tf_finetune/tasks/regression/rows/row_table.py."""

import math

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.tasks.regression.rows import row_table

_TEXT = (
    "front,back,area,zip,price\na.png,b.png,12.5,94501,7\nc.png,d.png,,Ü2,8\n"
)


@pytest.fixture
def read(tmp_path):
    def call(text: str = _TEXT, **keywords):
        path = tmp_path / "t.csv"
        path.write_text(text, encoding="utf-8")
        columns = {
            "image_column": ("front", "back"),
            "label_column": ("price",),
            "numeric_columns": ("area",),
            "categorical_columns": ("zip", "zip:3"),
        }
        options = data_options.DataOptions(data=str(path), **columns)
        return row_table.read_table(options, **keywords)

    return call


def test_rows_hold_pictures_numbers_words_and_targets(read, tmp_path):
    first, second = read()
    assert first.paths == (str(tmp_path / "a.png"), str(tmp_path / "b.png"))
    assert first.numbers == (12.5,) and math.isnan(second.numbers[0])
    assert first.words == ("94501", "945") and second.words == ("Ü2", "Ü2")
    assert first.whole_words == ("94501",)
    assert (first.targets, second.where) == ((7.0,), "line 3")


def test_targets_need_not_exist_where_they_are_predicted(read):
    text = _TEXT.replace("price", "other")
    assert read(text, with_targets=False)[0].targets == ()
    with pytest.raises(errors.DataError, match="'price'.*--label_column"):
        read(text)


def test_a_number_that_is_none_is_named_with_its_row(read):
    with pytest.raises(errors.DataError, match="line 2: the number 'area'"):
        read(_TEXT.replace("12.5", "large"))


def test_numbers_are_those_that_a_model_in_float32_takes(read):
    numbers, _ = row_table.stack_inputs(
        read(_TEXT.replace("12.5", "1700000001"))
    )
    assert numbers.dtype == "float64" and numbers[0, 0] == 1_700_000_000
    with pytest.raises(errors.DataError, match="'area' is '1e39'; .*float32"):
        read(_TEXT.replace("12.5", "1e39"))


def test_a_missing_column_names_its_flag(read):
    with pytest.raises(errors.DataError, match="--categorical_columns"):
        read(_TEXT.replace("zip", "code"))


def test_a_beginning_needs_a_length():
    assert row_table.split_length("zip:3") == ("zip", 3)
    with pytest.raises(errors.UsageError, match="zip:x"):
        row_table.split_length("zip:x")
