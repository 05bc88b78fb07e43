"""Predictions as a table."""

import csv
import os

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.tasks import prediction_table

NAMES = ("ants", "bees", "wasps")


def _read(path):
    with open(
        path, encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        return list(csv.DictReader(file))


def test_rows_follow_the_probabilities():
    rows = prediction_table.from_probabilities(
        ["a.jpg", "b.jpg"],
        np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]),
        NAMES,
        top_k=2,
    )

    assert rows[0] == prediction_table.Prediction(
        path="a.jpg",
        class_name="bees",
        probability=0.5,
        top_k=(("bees", 0.5), ("wasps", 0.3)),
    )
    # A tie goes to the first class, as everywhere.
    assert rows[1].class_name == "ants"


def test_the_table_has_its_columns(tmp_path):
    rows = prediction_table.from_probabilities(
        ["a.jpg"], np.array([[0.2, 0.5, 0.3]]), NAMES
    )
    rows.append(
        prediction_table.Prediction(path="b.gif", error="truncated GIF")
    )
    prediction_table.write_csv(tmp_path / "p.csv", rows)

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
        prediction_table.Prediction(path=path, class_name="a", probability=1.0),
        prediction_table.Prediction(path="last.jpg", error="two\nlines"),
    ]
    prediction_table.write_csv(tmp_path / "p.csv", rows)

    read = _read(tmp_path / "p.csv")
    assert [row["path"] for row in read] == [path, "last.jpg"]
    assert read[1]["error"] == "two\nlines"
    name = os.fsencode(read[0]["path"])
    assert name == os.fsencode(path)


def test_separators_in_class_names_are_escaped(tmp_path):
    rows = prediction_table.from_probabilities(
        ["a"], np.array([[0.75, 0.25]]), ("a|b", "c\\d")
    )
    prediction_table.write_csv(tmp_path / "p.csv", rows)

    (row,) = _read(tmp_path / "p.csv")
    assert row["class"] == "a|b"
    assert row["top_k"] == r"a\|b:0.750000|c\\d:0.250000"


def test_probabilities_must_fit_the_paths():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        prediction_table.from_probabilities(
            ["a", "b"], np.ones([1, 3]) / 3, NAMES
        )


def test_a_diverged_model_is_an_error():
    with pytest.raises(errors.RunError, match="diverged"):
        prediction_table.from_probabilities(
            ["a"], np.array([[np.nan, 0, 1]]), NAMES
        )


def test_the_summary_counts_classes_and_errors():
    rows = prediction_table.from_probabilities(
        ["a", "b", "c"], np.eye(3)[[0, 0, 2]], NAMES
    )
    rows.append(prediction_table.Prediction(path="d", error="empty file"))

    lines = [
        line.split() for line in prediction_table.summarize(rows).splitlines()
    ]

    assert lines[0][:4] == ["4", "files,", "3", "predicted:"]
    assert lines[1:3] == [["ants", "2"], ["wasps", "1"]]
    assert lines[3][:2] == ["1", "could"]


def test_the_summary_of_many_classes_adds_up():
    count = 15
    rows = prediction_table.from_probabilities(
        [str(i) for i in range(count)],
        np.eye(count),
        [f"class-{i}" for i in range(count)],
    )

    lines = prediction_table.summarize(rows).splitlines()

    assert lines[-1].split() == ["5", "other", "classes", "5"]
    assert len(lines) == 12


_ODD = [
    "=1+1",
    "@SUM(A1).png",
    "+1+1",
    "-1+1",
    "-rf.jpg",
    "\t=1",
    "\r=1",
    "＝1+1",
    "'quoted'",
    "''",
    '=HYPERLINK("http://x","y")',
]


@pytest.mark.parametrize("name", _ODD)
def test_what_a_spreadsheet_would_compute_is_quoted_and_read_back(
    tmp_path, name
):
    rows = [
        prediction_table.Prediction(
            path=name,
            class_name=name,
            probability=1.0,
            top_k=((name, 1.0),),
            error=name,
        )
    ]
    prediction_table.write_csv(tmp_path / "p.csv", rows)
    (raw,) = _read(tmp_path / "p.csv")
    for column in ("path", "class", "top_k", "error"):
        assert raw[column].startswith("'")
    (read,) = prediction_table.read_table(tmp_path / "p.csv")
    assert read["path"] == read["class"] == read["error"] == name


@pytest.mark.parametrize("name", ["-1", "+1.5", "-2e-05", "a=b", "a.png", ""])
def test_numbers_and_other_names_stay_as_they_are(name):
    assert prediction_table.quote_formula(name) == name
    assert prediction_table.unquote_formula(name) == name
