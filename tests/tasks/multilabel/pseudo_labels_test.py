"""What pictures without labels are taken to show."""

import numpy as np

from tf_finetune.tasks.multilabel import pseudo_labels

_NAMES = ("boat", "sea", "sky")
_ROWS = pseudo_labels.PSEUDO_LABELS.rows([("sea", "sky"), ("sky",)], _NAMES)


def test_rows_hold_what_labels_say():
    np.testing.assert_array_equal(_ROWS, [[0, 1, 1], [0, 0, 1]])


def test_each_thing_is_shown_as_often_as_by_labeled_pictures():
    scores = np.array([
        [0.9, 0.8, 0.9],
        [0.9, 0.7, 0.8],
        [0.9, 0.2, 0.7],
        [0.9, 0.1, 0.6],
    ])  # fmt: skip
    found = pseudo_labels.PSEUDO_LABELS.labels(scores, _ROWS, _NAMES, share=1.0)
    # No labeled picture shows a boat, half of them the sea, all the sky.
    assert found == [("sea", "sky"), ("sea", "sky"), ("sky",), ("sky",)]


def test_pictures_that_are_sure_of_nothing_are_left_out():
    scores = np.array([[0.1, 0.8, 0.9], [0.1, 0.7, 0.8], [0.1, 0.2, 0.7]])
    found = pseudo_labels.PSEUDO_LABELS.labels(scores, _ROWS, _NAMES, share=0.5)
    assert found == [("sea", "sky"), ("sea", "sky"), None]


def test_guessed_labels_are_counted_one_by_one():
    compare = pseudo_labels.PSEUDO_LABELS.count_correct
    assert compare(("boat", "sky"), _ROWS[0], _NAMES) == (1, 2)
    assert compare((), _ROWS[0], _NAMES) == (0, 0)
