"""Baselines: the majority class, and differences to other results."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.metrics import classification_metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccuracyDifference:
    """Difference of two accuracies with its interval.

    Attributes:
        difference: First minus second, -1..1.
        low: Lower bound of the difference's 95 % interval.
        high: Upper bound of it.
    """

    difference: float
    low: float
    high: float


def evaluate_majority_class(
    train: Sequence[int],
    labels: Sequence[int],
    *,
    class_names: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluates the constant prediction of the commonest training class.

    Args:
        train: Class indices of the training pictures; they decide the class
            (the first of equally common ones).
        labels: Class indices of the evaluated pictures, at least one.
        class_names: By class index.
        seed: Of the bootstrap.

    Returns:
        `class`, `accuracy`, `accuracy_interval`.
    """
    counts = np.bincount(train, minlength=len(class_names))
    # Chosen on the training pictures: the test split must decide nothing.
    best = int(np.argmax(counts))
    correct = int(np.sum(np.asarray(labels) == best))
    return {
        "class": class_names[best],
        "accuracy": correct / len(labels),
        "accuracy_interval": classification_metrics.accuracy_interval(
            correct, len(labels), seed=seed
        ),
    }


def compare_accuracies(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> AccuracyDifference:
    """Compares the accuracies of two results from their intervals alone.

    The interval treats the results as independent. On the same pictures they
    usually err together, and the true interval is then narrower.

    Args:
        first: `accuracy` and `accuracy_interval`.
        second: The same of the other result.

    Source: Zou and Donner 2008, "Construction of confidence limits about
    effect measures", equation 2 (MOVER).
    """
    (low, high), (other_low, other_high) = (
        each["accuracy_interval"] for each in (first, second)
    )
    # MOVER for a difference, equation 2:
    #   L = d - sqrt((p1 - l1)² + (u2 - p2)²)
    #   U = d + sqrt((u1 - p1)² + (p2 - l2)²)
    mine, other = first["accuracy"], second["accuracy"]
    difference = mine - other
    return AccuracyDifference(
        difference=difference,
        low=difference - math.hypot(mine - low, other_high - other),
        high=difference + math.hypot(high - mine, other - other_low),
    )
