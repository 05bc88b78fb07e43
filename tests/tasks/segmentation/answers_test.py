import csv

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.tasks.segmentation import answers


def _probabilities(indices, classes=3):
    return np.eye(classes, dtype="float32")[np.asarray(indices)]


def test_shares_are_those_of_the_pixels_the_largest_first():
    (row,) = answers.ANSWERS.build_rows(
        ["a.jpg"], _probabilities([[[1, 1], [1, 2]]]), ("sky", "road", "car")
    )
    assert row.shares == (("road", 0.75), ("car", 0.25))
    assert answers.ANSWERS.format_row(row) == "a.jpg: road 75.0%, car 25.0%"


def test_a_table_can_be_read_back(tmp_path):
    rows = [
        answers.Answer(path='a,"b.jpg', shares=(("x|y", 1.0),), mask="m.png"),
        answers.ANSWERS.build_error_row("bad.jpg", "an empty file"),
    ]
    answers.ANSWERS.write(tmp_path / "p.csv", rows)
    with open(tmp_path / "p.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert read[0]["path"] == 'a,"b.jpg'
    assert read[0]["shares"] == "x\\|y:1.000000"
    assert read[1]["error"] == "an empty file"
    assert "2 files, 1 predicted" in answers.ANSWERS.summarize(rows)


def test_numbers_that_are_none_are_an_error():
    with pytest.raises(errors.RunError, match="diverged"):
        answers.ANSWERS.build_rows(
            ["a"], np.full([1, 2, 2, 2], np.nan), ("a", "b")
        )
