"""Tests of tf_finetune/tasks/regression/answers.py."""

import csv

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.tasks.regression import answers

_ANSWERS = answers.ANSWERS


def test_rows_are_written_with_a_column_for_each_target(tmp_path):
    rows = _ANSWERS.build_rows(
        ["a.png", "b,\r.png"],
        np.array([[0.1, 2e6], [1, 3]], "float32"),
        ["x", "y"],
    )
    rows.append(_ANSWERS.build_error_row("c.png", "an empty file"))
    _ANSWERS.write(tmp_path / "p.csv", rows)
    with open(tmp_path / "p.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["path", "x", "y", "error"]
    assert np.float32(table[0]["x"]) == np.float32(0.1)
    assert float(table[0]["y"]) == 2e6
    assert table[1]["path"] == "b,\r.png"
    assert (table[2]["x"], table[2]["error"]) == ("", "an empty file")
    assert _ANSWERS.format_row(rows[0]) == "a.png: x 0.1, y 2e+06"
    assert "error: an empty file" in _ANSWERS.format_row(rows[2])
    summary = _ANSWERS.summarize(rows)
    assert "3 rows, 2 predicted" in summary and "x: 0.1 to 1" in summary


def test_a_table_of_errors_alone_can_be_written(tmp_path):
    _ANSWERS.write(
        tmp_path / "p.csv", [_ANSWERS.build_error_row("c.png", "bad")]
    )
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        '"path","error"',
        '"c.png","bad"',
    ]


def test_values_that_are_no_numbers_are_an_error():
    with pytest.raises(errors.RunError, match="diverged"):
        _ANSWERS.build_rows(["a.png"], np.array([[np.nan]]), ["x"])


def test_true_values_follow_the_predicted_ones(tmp_path):
    path = tmp_path / "p.csv"
    rows = answers.ANSWERS.build_rows(
        ["a.png"], np.array([[1.5, 2.5]]), ["x", "y"]
    )
    answers.ANSWERS.write(path, rows, [(1.0, 3.0)])
    assert path.read_text().splitlines() == [
        '"path","x","y","error","true x","true y"',
        '"a.png",1.5,2.5,"",1.0,3.0',
    ]
