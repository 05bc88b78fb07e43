"""Trivial answers and comparisons."""

import numpy as np
import pytest

from tf_finetune.metrics import baselines


def test_the_majority_is_that_of_the_training_pictures():
    baseline = baselines.evaluate_majority_class(
        [0, 0, 0, 1], [1, 1, 1, 0], class_names=("ants", "bees")
    )

    assert baseline["class"] == "ants"
    assert baseline["accuracy"] == 0.25
    low, high = baseline["accuracy_interval"]
    assert low < 0.25 < high


def test_of_equally_common_classes_the_first_is_the_majority():
    baseline = baselines.evaluate_majority_class(
        [2, 1, 1, 2], [0, 1], class_names=("a", "b", "c")
    )

    assert baseline["class"] == "b"


def test_a_comparison_combines_the_intervals_by_hand():
    first = {"accuracy": 0.9, "accuracy_interval": [0.87, 0.92]}
    second = {"accuracy": 0.8, "accuracy_interval": [0.77, 0.84]}

    compared = baselines.compare_accuracies(first, second)

    assert compared.difference == pytest.approx(0.1)
    assert compared.low == pytest.approx(0.1 - 0.05)  # 3-4-5
    assert compared.high == pytest.approx(0.1 + np.hypot(0.02, 0.03))
