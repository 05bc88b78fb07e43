"""The table of labels a picture."""

import csv

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.tasks.multilabel import answers

_NAMES = ("cat", "a|b", "dog")
_ANSWERS = answers.Answers({"thresholds": {"cat": 0.3, "a|b": 0.6}})


def _rows():
    predictions = np.array([[0.4, 0.9, 0.1], [0.2, 0.5, 0.45]], "float32")
    return _ANSWERS.build_rows(["x.jpg", "y.jpg"], predictions, _NAMES)


def test_labels_are_those_at_their_thresholds_likeliest_first():
    first, second = _rows()
    assert first.labels == ("a|b", "cat")
    assert second.labels == ()
    assert list(first.probabilities) == list(_NAMES)
    assert first.probabilities["dog"] == pytest.approx(0.1)


def test_a_label_without_a_threshold_is_given_from_one_half_on():
    predictions = np.array([[0.0, 0.0, 0.5]], "float32")
    (row,) = _ANSWERS.build_rows(["x.jpg"], predictions, _NAMES)
    assert row.labels == ("dog",)


def test_lines():
    first, second = _rows()
    assert _ANSWERS.format_row(first) == "x.jpg: a|b 0.900, cat 0.400"
    assert _ANSWERS.format_row(second) == "y.jpg: (no label)"
    failed = _ANSWERS.build_error_row("z.jpg", "it is empty")
    assert _ANSWERS.format_row(failed) == "z.jpg: error: it is empty"


def test_the_table_escapes_names_and_keeps_odd_paths(tmp_path):
    rows = [
        *_rows(),
        _ANSWERS.build_error_row("line\rbreak\udcff.jpg", "empty"),
    ]
    _ANSWERS.write(tmp_path / "x.csv", rows)
    with open(
        tmp_path / "x.csv", newline="", encoding="utf-8",
        errors="surrogateescape",
    ) as file:  # fmt: skip
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["path", "labels", "probabilities", "error"]
    assert table[0]["labels"] == r"a\|b|cat"
    assert table[0]["probabilities"] == (
        r"cat:0.400000|a\|b:0.900000|dog:0.100000"
    )
    assert table[1]["labels"] == ""
    assert table[2]["path"] == "line\rbreak\udcff.jpg"
    assert table[2]["error"] == "empty"


def test_the_summary_counts_labels_and_pictures_without():
    text = _ANSWERS.summarize(
        [*_rows(), _ANSWERS.build_error_row("z.jpg", "empty")]
    )
    lines = [line.split() for line in text.splitlines()]
    assert lines[0][:2] == ["3", "files,"]
    assert ["cat", "1"] in lines
    assert ["(no", "label)", "1"] in lines
    assert "1 could not be used" in text


def test_numbers_that_are_none_name_a_remedy():
    with pytest.raises(errors.RunError, match="learning_rate"):
        _ANSWERS.build_rows(["x.jpg"], np.full([1, 3], np.nan), _NAMES)
    with pytest.raises(ValueError, match="got"):
        _ANSWERS.build_rows(["x.jpg"], np.zeros([1, 2]), _NAMES)


def test_true_labels_are_the_last_column(tmp_path):
    rows = [answers.Answers({}).build_error_row("a.png", "gone")]
    answers.Answers({}).write(tmp_path / "p.csv", rows, [("red", "a|b")])
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0].endswith(",error,true")
    assert lines[1].endswith(r",gone,red|a\|b")
