"""Predicted classes as a table."""

import csv
import os

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.tasks.classification import answers

NAMES = ("ants", "bees", "wasps")


def _read(path):
    with open(
        path, encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        return list(csv.DictReader(file))


def test_rows_follow_the_probabilities():
    rows = answers.ANSWERS.build_rows(
        ["a.jpg", "b.jpg"],
        np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]),
        NAMES,
        top_k=2,
    )

    assert rows[0] == answers.Prediction(
        path="a.jpg",
        class_name="bees",
        probability=0.5,
        top_k=(("bees", 0.5), ("wasps", 0.3)),
    )
    # A tie goes to the first class, as everywhere.
    assert rows[1].class_name == "ants"


def test_the_table_has_its_columns(tmp_path):
    rows = answers.ANSWERS.build_rows(
        ["a.jpg"], np.array([[0.2, 0.5, 0.3]]), NAMES
    )
    rows.append(answers.Prediction(path="b.gif", error="truncated GIF"))
    answers.ANSWERS.write(tmp_path / "p.csv", rows)

    text = (tmp_path / "p.csv").read_text().splitlines()
    assert text == [
        "path,class,probability,top_k,error",
        "a.jpg,bees,0.500000,bees:0.500000|wasps:0.300000|ants:0.200000,",
        "b.gif,,,,truncated GIF",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "line\nbreak.jpg",
        "carriage\rreturn.jpg",
        "both\r\n.jpg",
        'quo"te, comma.jpg',
        os.fsdecode(b"caf\xe9.jpg"),
        "蚂蚁.jpg",
    ],
)
def test_any_path_survives(tmp_path, path):
    rows = [
        answers.Prediction(path=path, class_name="a", probability=1.0),
        answers.Prediction(path="last.jpg", error="two\nlines"),
    ]
    answers.ANSWERS.write(tmp_path / "p.csv", rows)

    read = _read(tmp_path / "p.csv")
    assert [row["path"] for row in read] == [path, "last.jpg"]
    assert read[1]["error"] == "two\nlines"
    name = os.fsencode(read[0]["path"])
    assert name == os.fsencode(path)


def test_separators_in_class_names_are_escaped(tmp_path):
    rows = answers.ANSWERS.build_rows(
        ["a"], np.array([[0.75, 0.25]]), ("a|b", "c\\d")
    )
    answers.ANSWERS.write(tmp_path / "p.csv", rows)

    (row,) = _read(tmp_path / "p.csv")
    assert row["class"] == "a|b"
    assert row["top_k"] == r"a\|b:0.750000|c\\d:0.250000"


def test_probabilities_must_fit_the_paths():
    with pytest.raises(ValueError, match="2 paths.*got"):
        answers.ANSWERS.build_rows(["a", "b"], np.ones([1, 3]) / 3, NAMES)


def test_a_diverged_model_is_an_error():
    with pytest.raises(errors.RunError, match="diverged"):
        answers.ANSWERS.build_rows(["a"], np.array([[np.nan, 0, 1]]), NAMES)


def test_the_summary_counts_classes_and_errors():
    rows = answers.ANSWERS.build_rows(
        ["a", "b", "c"], np.eye(3)[[0, 0, 2]], NAMES
    )
    rows.append(answers.Prediction(path="d", error="empty file"))

    lines = [
        line.split() for line in answers.ANSWERS.summarize(rows).splitlines()
    ]

    assert lines[0][:4] == ["4", "files,", "3", "predicted:"]
    assert lines[1:3] == [["ants", "2"], ["wasps", "1"]]
    assert lines[3][:2] == ["1", "could"]


def test_the_summary_of_many_classes_adds_up():
    count = 15
    rows = answers.ANSWERS.build_rows(
        [str(i) for i in range(count)],
        np.eye(count),
        [f"class-{i}" for i in range(count)],
    )

    lines = answers.ANSWERS.summarize(rows).splitlines()

    assert lines[-1].split() == ["5", "other", "classes", "5"]
    assert len(lines) == 12
