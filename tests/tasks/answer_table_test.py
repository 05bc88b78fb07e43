"""Tests of the table of answers."""

import csv

import pytest

from tf_finetune.tasks import answer_table

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
    columns = ("path", "class", "error")
    answer_table.write_table(tmp_path / "p.csv", columns, [[name] * 3])
    with open(tmp_path / "p.csv", encoding="utf-8", newline="") as file:
        (raw,) = csv.DictReader(file)
    for column in columns:
        assert raw[column].startswith("'")
    (read,) = answer_table.read_table(tmp_path / "p.csv")
    assert read == dict.fromkeys(columns, name)


@pytest.mark.parametrize("name", ["-1", "+1.5", "-2e-05", "a=b", "a.png", ""])
def test_numbers_and_other_names_stay_as_they_are(name):
    assert answer_table.quote_formula(name) == name
    assert answer_table.unquote_formula(name) == name
