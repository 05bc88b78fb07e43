"""Tests of pseudo-labels of pictures."""

import numpy as np
import pytest

from tf_finetune.tasks import pseudo_labels

_SCORES = np.array([
    [0.99, 0.01],
    [0.9, 0.1],
    [0.8, 0.2],
    [0.7, 0.3],
    [0.4, 0.6],
    [0.45, 0.55],
])  # fmt: skip


def test_each_class_has_its_own_threshold():
    np.testing.assert_allclose(
        pseudo_labels.find_thresholds(_SCORES, 0.5), [0.9, 0.6]
    )


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, [0, 0, -1, -1, 1, -1]), (1.0, [0, 0, 0, 0, 1, 1])],
)
def test_the_surest_of_each_class_are_taken(share, expected):
    assert pseudo_labels.select_classes(_SCORES, share).tolist() == expected


def test_a_class_that_is_never_guessed_has_no_threshold():
    found = pseudo_labels.find_thresholds(
        np.array([[0.9, 0.1], [0.8, 0.2]]), 1.0
    )
    assert found[1] == np.inf


def test_things_are_shown_as_often_as_by_labeled_pictures():
    scores = np.array([[0.9, 0.2], [0.4, 0.3], [0.6, 0.1], [0.1, 0.25]])
    found = pseudo_labels.select_labels(scores, np.array([0.5, 0.25]))
    assert found.tolist() == [
        [True, False], [False, True], [True, False], [False, False],
    ]  # fmt: skip


_NAMES = ("ant", "bee")


def test_labels_are_the_surest_of_each_class():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]])
    found = pseudo_labels.CLASS_PSEUDO_LABELS.labels(
        scores, np.eye(2), _NAMES, share=0.5
    )
    assert found == ["ant", None, "bee", None]


def test_a_guess_is_right_or_not():
    rows = pseudo_labels.CLASS_PSEUDO_LABELS.rows(["bee", "ant"], _NAMES)
    np.testing.assert_array_equal(rows, [[0, 1], [1, 0]])
    compare = pseudo_labels.CLASS_PSEUDO_LABELS.count_correct
    assert compare("bee", rows[0], _NAMES) == (1, 1)
    assert compare("ant", rows[0], _NAMES) == (0, 1)


_OF_LABELS = pseudo_labels.LABEL_PSEUDO_LABELS
_LABELS = ("boat", "sea", "sky")
_LABEL_ROWS = _OF_LABELS.rows([("sea", "sky"), ("sky",)], _LABELS)


def test_rows_hold_what_labels_say():
    np.testing.assert_array_equal(_LABEL_ROWS, [[0, 1, 1], [0, 0, 1]])


def test_each_thing_is_shown_as_often_as_by_labeled_pictures():
    scores = np.array([
        [0.9, 0.8, 0.9],
        [0.9, 0.7, 0.8],
        [0.9, 0.2, 0.7],
        [0.9, 0.1, 0.6],
    ])  # fmt: skip
    found = _OF_LABELS.labels(scores, _LABEL_ROWS, _LABELS, share=1.0)
    # No labeled picture shows a boat, half of them the sea, all the sky.
    assert found == [("sea", "sky"), ("sea", "sky"), ("sky",), ("sky",)]


def test_pictures_that_are_sure_of_nothing_are_left_out():
    scores = np.array([[0.1, 0.8, 0.9], [0.1, 0.7, 0.8], [0.1, 0.2, 0.7]])
    found = _OF_LABELS.labels(scores, _LABEL_ROWS, _LABELS, share=0.5)
    assert found == [("sea", "sky"), ("sea", "sky"), None]


def test_guessed_labels_are_counted_one_by_one():
    compare = _OF_LABELS.count_correct
    assert compare(("boat", "sky"), _LABEL_ROWS[0], _LABELS) == (1, 2)
    assert compare((), _LABEL_ROWS[0], _LABELS) == (0, 0)
