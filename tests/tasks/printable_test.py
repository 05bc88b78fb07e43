"""What is printed of files obeys no terminal, whatever the task."""

import numpy as np
import pytest

from tf_finetune.tasks import catalog

_BAD = "a\x1b[31mn\x1b]0;title\x07\nError: faked\u202e.png"
_PREDICTIONS = {
    "classification": np.array([[0.9, 0.1]]),
    "multilabel": np.array([[0.9, 0.8]]),
    "regression": np.array([[1.0, 2.0]]),
    "segmentation": np.tile([0.9, 0.1], [1, 2, 2, 1]),
}


@pytest.mark.parametrize("name", catalog.TASKS.names())
def test_lines_and_summaries_of_strange_names_are_printable(name):
    answers = catalog.TASKS.get(name).answers
    good = answers.build_rows(
        [_BAD], _PREDICTIONS[name], [f"x{_BAD}", f"y{_BAD}"]
    )
    failed = answers.build_error_row(_BAD, f"it is {_BAD}")
    for row in (*good, failed):
        assert answers.format_row(row).isprintable()
    assert answers.format_row(good[0]).startswith(r"'a\x1b[31mn")
    for line in answers.summarize([*good, failed]).splitlines():
        assert line.isprintable() and not line.startswith("Error")


@pytest.mark.parametrize("name", catalog.TASKS.names())
def test_names_that_can_be_printed_are_as_they_are(name):
    answers = catalog.TASKS.get(name).answers
    (row,) = answers.build_rows(["a b.png"], _PREDICTIONS[name], ["木", "Bär"])
    line = answers.format_row(row)
    assert line.startswith("a b.png: ") and ("木 " in line)
    assert (
        answers.format_row(answers.build_error_row("a.png", "no"))
        == "a.png: error: no"
    )
