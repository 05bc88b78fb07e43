"""Which guesses are sure enough."""

import numpy as np
import pytest

from tf_finetune.tasks import pseudo_label_selection

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
        pseudo_label_selection.find_thresholds(_SCORES, 0.5), [0.9, 0.6]
    )


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, [0, 0, -1, -1, 1, -1]), (1.0, [0, 0, 0, 0, 1, 1])],
)
def test_the_surest_of_each_class_are_taken(share, expected):
    assert (
        pseudo_label_selection.select_classes(_SCORES, share).tolist()
        == expected
    )


def test_a_class_that_is_never_guessed_has_no_threshold():
    found = pseudo_label_selection.find_thresholds(
        np.array([[0.9, 0.1], [0.8, 0.2]]), 1.0
    )
    assert found[1] == np.inf


def test_things_are_shown_as_often_as_by_labeled_pictures():
    scores = np.array([[0.9, 0.2], [0.4, 0.3], [0.6, 0.1], [0.1, 0.25]])
    found = pseudo_label_selection.select_labels(scores, np.array([0.5, 0.25]))
    assert found.tolist() == [
        [True, False], [False, True], [True, False], [False, False],
    ]  # fmt: skip
