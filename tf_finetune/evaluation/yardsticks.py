"""What a result stands beside: trivial answers and other results."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.evaluation import metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """One accuracy beside another.

    Attributes:
        difference: First minus second, -1..1.
        low: Lower bound of the difference's 95 % interval.
        high: Upper bound of it.
    """

    difference: float
    low: float
    high: float


def majority_class(
    train: Sequence[int],
    labels: Sequence[int],
    *,
    class_names: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """Returns what answering with the commonest training class reaches.

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
    best = int(np.argmax(counts))
    correct = int(np.sum(np.asarray(labels) == best))
    return {
        "class": class_names[best],
        "accuracy": correct / len(labels),
        "accuracy_interval": metrics.accuracy_interval(
            correct, len(labels), seed=seed
        ),
    }


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
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
    mine, other = first["accuracy"], second["accuracy"]
    difference = mine - other
    return Comparison(
        difference=difference,
        low=difference - math.hypot(mine - low, other_high - other),
        high=difference + math.hypot(high - mine, other - other_low),
    )


def compare_paired(
    correct: np.ndarray, other_correct: np.ndarray, *, seed: int
) -> Comparison:
    """Compares two results on the same pictures by the paired bootstrap.

    Args:
        correct: [n] booleans, where the first result is right.
        other_correct: [n] booleans of the second, same order of pictures.
        seed: Of the 2000 draws.

    Raises:
        ValueError: The arrays differ in length.
    """
    if len(correct) != len(other_correct):
        raise ValueError(
            "Paired results need the same pictures, got "
            f"{len(correct)} and {len(other_correct)}."
        )
    # Drawing pairs with replacement is a multinomial draw of their kinds.
    gains = np.asarray(correct, "int64") - np.asarray(other_correct, "int64")
    counts = [int(np.sum(gains == value)) for value in (1, 0, -1)]
    total = len(gains)
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(total, np.array(counts) / total, size=2000)
    differences = (draws[:, 0] - draws[:, 2]) / total
    low, high = np.percentile(differences, [2.5, 97.5])
    return Comparison(
        difference=float(np.mean(gains)), low=float(low), high=float(high)
    )
