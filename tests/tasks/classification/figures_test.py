"""How results of a classifier are ranked."""

import numpy as np
import pytest

from tf_finetune.metrics import classification_metrics
from tf_finetune.tasks.classification import figures

_FIGURES = figures.FIGURES


def test_higher_accuracy_wins_and_lower_loss_breaks_ties():
    better = {"val_accuracy": 0.9, "val_loss": 2.0}
    tied = {"val_accuracy": 0.9, "val_loss": 1.0}
    worse = {"val_accuracy": 0.8, "val_loss": 0.1}
    assert (
        _FIGURES.rank_epoch(tied)
        > _FIGURES.rank_epoch(better)
        > _FIGURES.rank_epoch(worse)
    )
    found = classification_metrics.compute_metrics(
        np.array([0, 1]),
        np.array([[0.8, 0.2], [0.4, 0.6]]),
        class_names=("x", "y"),
        seed=0,
    )
    assert _FIGURES.merit(found) == pytest.approx(
        (1.0, (np.log(0.8) + np.log(0.6)) / 2)
    )
    assert "1.000" in _FIGURES.format_brief(found)
