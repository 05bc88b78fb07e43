"""What pictures without labels are taken to carry."""

import numpy as np

from tf_finetune.tasks.multilabel import guesses

_NAMES = ("b", "a")


def test_labels_become_rows_in_the_order_of_the_names():
    rows = guesses.GUESSES.rows([("a",), (), ("a", "b")], _NAMES)
    np.testing.assert_array_equal(rows, [[0, 1], [0, 0], [1, 1]])


def test_each_label_is_guessed_as_often_as_it_is_known():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.9], [0.1, 0.05]])
    rows = np.array([[1, 0], [0, 1], [0, 0], [1, 0]])
    got = guesses.GUESSES.labels(scores, rows, _NAMES, share=1.0)
    assert got == [("b",), ("b",), ("a",), None]


def test_pictures_that_are_not_clear_get_no_guess():
    scores = np.array([[0.99, 0.01], [0.6, 0.4], [0.02, 0.97], [0.5, 0.3]])
    rows = np.array([[1, 0], [0, 1]])
    got = guesses.GUESSES.labels(scores, rows, _NAMES, share=0.5)
    assert got == [("b",), None, ("a",), None]


def test_what_is_guessed_is_compared_with_what_is_true():
    compare = guesses.GUESSES.compare
    assert compare(("a",), np.array([1, 1]), _NAMES) == (1, 1)
    assert compare(("a", "b"), np.array([1, 0]), _NAMES) == (1, 2)
    assert compare((), np.array([0, 0]), _NAMES) == (0, 0)
