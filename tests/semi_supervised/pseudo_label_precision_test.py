"""How often guesses are right."""

import numpy as np

from tf_finetune.semi_supervised import pseudo_label_precision

_ROWS = np.eye(2)[[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]]


def _compare(guess, row):
    return int(guess == row.argmax()), 1


def _measured(guess, groups=None):
    names = [str(i) for i in range(len(_ROWS))]
    return pseudo_label_precision.cross_validate(
        _ROWS, guess, groups=groups or names, compare=_compare, seed=0
    )


def test_each_labeled_picture_is_guessed_once_from_the_others():
    asked = []

    def guess(known, numbers):
        assert not set(known) & set(numbers)
        assert len(known) + len(numbers) == 10
        asked.extend(numbers)
        return [0] * len(numbers)

    found = _measured(guess)
    assert sorted(asked) == list(range(10))
    assert (found.right, found.guessed, found.held_out) == (5, 10, 10)
    assert found.precision == 0.5


def test_a_fold_has_its_share_of_every_class():
    folds = []
    _measured(lambda known, numbers: folds.append(numbers) or [0, 0])
    assert all({int(n) // 5 for n in fold} == {0, 1} for fold in folds)


def test_unsure_guesses_do_not_count():
    found = _measured(lambda known, numbers: [None] * len(numbers))
    assert (found.guessed, found.sure, found.precision) == (0, 0, None)


def test_pictures_of_one_group_are_guessed_together():
    groups = ["a", "a", "b", "b", "c", "d", "d", "e", "e", "f"]

    def guess(known, numbers):
        assert not {groups[i] for i in known} & {groups[i] for i in numbers}
        return [0] * len(numbers)

    assert _measured(guess, groups).held_out == 10


def test_a_fold_that_leaves_a_class_without_example_is_left_out():
    rows = np.eye(2)[[0, 1, 1, 1]]
    found = pseudo_label_precision.cross_validate(
        rows,
        lambda known, numbers: [1] * len(numbers),
        groups=list("abcd"),
        compare=_compare,
        seed=0,
    )
    assert (found.right, found.held_out) == (3, 3)
