"""Folds of the pictures that a teacher with a solved head has learned."""

import types

import numpy as np
import pytest

from tf_finetune.runs import teacher_folds
from tf_finetune.solvers import linear_probe


@pytest.fixture
def context(make_context):
    """A run of ten training pictures of each of two classes."""
    splits = {"train": "ab" * 10, "validation": "ab"}
    made = make_context(splits)
    made.targets = lambda split: made.task.network.targets(
        made.data, split, config=made.config, image_size=32
    )
    return made


def _teacher(context, **changes):
    learned = {p.sha256 for p in context.data.split("train")}
    given = {
        "learned": frozenset(learned),
        "is_probe": True,
        "features": types.SimpleNamespace(output_shape=(None, 4)),
        # Its first output is the second class.
        "order": (1, 0),
        "key": "0" * 32,
        **changes,
    }
    return types.SimpleNamespace(**given)


def test_each_picture_gets_a_head_that_was_solved_without_it(context):
    folds = teacher_folds.draw_folds(_teacher(context), context)
    pictures = context.data.split("train")
    assert folds.pictures == tuple(pictures)
    fold_of = np.array([folds.fold_of[p.sha256] for p in pictures])
    assert sorted(np.bincount(fold_of)) == [4] * 5
    labels = np.array([p.label == "b" for p in pictures])
    # The teacher's outputs are in another order.
    np.testing.assert_array_equal(folds.targets[:, 0], labels)
    features = np.random.default_rng(0).normal(size=[20, 4])
    features[:, 0] += 3 * labels
    heads = teacher_folds.solve_heads(folds, features, context)
    for fold, head in enumerate(heads):
        rest = fold_of != fold
        expected = linear_probe.solve(
            features[rest],
            (~labels[rest]).astype(int),
            groups=[p.sha256 for p, r in zip(pictures, rest, strict=True) if r],
            seed=context.config.seed,
        )
        np.testing.assert_allclose(head.kernel, expected.kernel, rtol=1e-6)
        np.testing.assert_allclose(head.bias, expected.bias, rtol=1e-6)


def test_folds_are_drawn_the_same_way_each_time(context):
    first, second = (
        teacher_folds.draw_folds(_teacher(context), context) for _ in range(2)
    )
    assert first.fold_of == second.fold_of
    assert first.key == second.key
    other = teacher_folds.draw_folds(_teacher(context, key="1" * 32), context)
    assert other.key != first.key


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_probe": False}, "more than a head"),
        ({"features": None}, "several layers"),
    ],
)
def test_without_folds_the_reason_is_said(context, caplog, changes, reason):
    with caplog.at_level("WARNING"):
        teacher = _teacher(context, **changes)
        assert teacher_folds.draw_folds(teacher, context) is None
    assert "trained on 20 of the 20 training pictures" in caplog.text
    assert reason in caplog.text


def test_a_teacher_of_other_pictures_needs_no_folds(context, caplog):
    teacher = _teacher(context, learned=frozenset({"others"}))
    with caplog.at_level("WARNING"):
        assert teacher_folds.draw_folds(teacher, context) is None
    assert not caplog.text


def test_pictures_that_the_teacher_has_not_learned_are_in_no_fold(context):
    pictures = context.data.split("train")
    learned = frozenset(p.sha256 for p in pictures[:12])
    folds = teacher_folds.draw_folds(
        _teacher(context, learned=learned), context
    )
    assert {*folds.fold_of} == learned
