"""Tests of label propagation and its precision."""

import numpy as np
import pytest

from tf_finetune.semi_supervised import pseudo_labels


def _moons(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns two half circles that no straight line divides."""
    angles = np.linspace(0, np.pi, count)
    first = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    second = np.stack([1 - np.cos(angles), 0.5 - np.sin(angles)], axis=1)
    flat = np.concatenate([first, second])
    # On a sphere, so that neighbors by angle are neighbors on the plane.
    raised = np.concatenate([flat, np.full([len(flat), 1], 2.0)], axis=1)
    return raised, np.repeat([0, 1], count)


def _propagated(features, places, rows):
    joints = pseudo_labels.build_neighbor_graph(features)
    return pseudo_labels.propagate_labels(joints, places, rows, exclusive=True)


def test_labels_follow_the_shape_of_the_data():
    features, classes = _moons(100)
    known = np.array([50, 150])
    others = np.setdiff1d(np.arange(200), known)
    found = _propagated(features, known, np.eye(2))
    assert (found.argmax(axis=1) == classes[others]).mean() == 1.0
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_the_graph_is_symmetric_and_without_loops():
    features = np.random.default_rng(0).normal(size=[30, 5])
    joined = pseudo_labels.build_neighbor_graph(features).toarray()
    np.testing.assert_allclose(joined, joined.T)
    assert (np.diag(joined) == 0).all()
    # The largest eigenvalue of D^-1/2 W D^-1/2 is 1 (Zhou et al., section 2).
    assert np.linalg.eigvalsh(joined).max() == pytest.approx(1.0)


def test_the_iteration_ends_where_the_closed_form_does():
    features = np.random.default_rng(1).normal(size=[40, 6])
    rows = np.eye(2)[[0, 1, 0, 1]]
    found = _propagated(features, np.arange(4), rows)
    joined = pseudo_labels.build_neighbor_graph(features).toarray()
    start = np.zeros([40, 2])
    start[:4] = rows / 2
    settled = np.linalg.solve(np.eye(40) - 0.9 * joined, start)[4:]
    settled /= settled.sum(axis=1, keepdims=True)
    for _ in range(10):  # Class masses: half of the pictures each.
        settled *= 0.5 / settled.mean(axis=0)
        settled /= settled.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, settled, atol=1e-3)


def test_each_of_several_labels_is_a_question_of_its_own():
    generator = np.random.default_rng(2)
    truth = generator.integers(0, 2, [120, 2])
    features = np.repeat(truth, 4, axis=1) + generator.normal(0, 0.1, [120, 8])
    features = np.concatenate([features, np.ones([120, 1])], axis=1)
    found = pseudo_labels.propagate_labels(
        pseudo_labels.build_neighbor_graph(features),
        np.arange(20),
        truth[:20].astype(float),
        exclusive=False,
    )
    assert ((found > 0.5) == truth[20:]).mean() > 0.95


def test_a_class_that_nobody_has_gets_nothing():
    features = np.random.default_rng(3).normal(size=[10, 3])
    rows = np.eye(3)[[0, 1]]
    found = _propagated(features, np.arange(2), rows)
    assert (found[:, 2] == 0).all()
    assert np.isfinite(found).all()


_ROWS = np.eye(2)[[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]]


def _compare(guess, row):
    return int(guess == row.argmax()), 1


def _measured(guess, groups=None):
    names = [str(i) for i in range(len(_ROWS))]
    return pseudo_labels.cross_validate(
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
    found = pseudo_labels.cross_validate(
        rows,
        lambda known, numbers: [1] * len(numbers),
        groups=list("abcd"),
        compare=_compare,
        seed=0,
    )
    assert (found.right, found.held_out) == (3, 3)
