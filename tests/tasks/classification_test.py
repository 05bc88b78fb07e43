"""Tests of tf_finetune/tasks/classification.py."""

import numpy as np
import pytest
from scipy import special

from tf_finetune.data import examples
from tf_finetune.tasks import classification

_TASK = classification.Classification()


def _picture(label: str, split: str) -> examples.Picture:
    return examples.Picture(
        path=label, label=label, sha256=label, width=1, height=1, split=split
    )


def test_targets_are_one_hot_in_the_order_of_the_classes():
    data = examples.ImageData(
        class_names=("b", "a"),
        pictures=(
            _picture("a", "train"),
            _picture("b", "test"),
            _picture("b", "train"),
        ),
        dropped=(),
        fingerprint="",
    )
    np.testing.assert_array_equal(
        _TASK.targets(data, "train"), [[0, 1], [1, 0]]
    )


def test_finish_is_the_softmax():
    logits = np.array([[1.0, 2.0, -3.0]], "float32")
    np.testing.assert_allclose(
        _TASK.finish(logits), special.softmax(logits, axis=1), rtol=1e-6
    )


def test_higher_accuracy_wins_and_lower_loss_breaks_ties():
    better = {"val_accuracy": 0.9, "val_loss": 2.0}
    tied = {"val_accuracy": 0.9, "val_loss": 1.0}
    worse = {"val_accuracy": 0.8, "val_loss": 0.1}
    assert _TASK.rank(tied) > _TASK.rank(better) > _TASK.rank(worse)
    figures = _TASK.evaluate(
        np.eye(2)[[0, 1]],
        np.array([[0.8, 0.2], [0.4, 0.6]]),
        class_names=("x", "y"),
        seed=0,
    )
    assert _TASK.merit(figures) == pytest.approx(
        (1.0, (np.log(0.8) + np.log(0.6)) / 2)
    )
    assert "1.000" in _TASK.brief(figures)
