"""Evaluators: predictions of a split compared with its labels as they come."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tf_finetune import errors
from tf_finetune.metrics import candidate_selection


class Evaluator(Protocol):
    """Accumulator that compares predictions of a split with its labels.

    It knows the labels; predictions are added in the order of the pictures.
    """

    def add(self, predictions: np.ndarray) -> None:
        """Adds predictions [batch, …] of the next pictures of the split."""

    def figures(self) -> dict[str, Any]:
        """Computes metrics by name of all added predictions, for JSON."""

    def evidence(self) -> candidate_selection.Evidence:
        """Computes per-picture results for comparing two models."""

    def draw(self, folder: pathlib.Path) -> None:
        """Writes PNGs of notable single pictures to a folder; may be none."""


class CollectedPredictions:
    """Evaluator that keeps all predictions of a split in memory.

    Args:
        evaluate: Function from all predictions [n, …] to metrics by name.
        compare: Function from all predictions to per-picture results for
            the comparison with another model.
    """

    def __init__(
        self,
        evaluate: Callable[[np.ndarray], dict[str, Any]],
        compare: Callable[[np.ndarray], candidate_selection.Evidence],
    ) -> None:
        """Starts without predictions."""
        self._evaluate = evaluate
        self._compare = compare
        self._added: list[np.ndarray] = []

    def add(self, predictions: np.ndarray) -> None:
        """Adds predictions [batch, …] of the next pictures of the split."""
        self._added.append(predictions)

    def figures(self) -> dict[str, Any]:
        """Computes the metrics by name of all predictions added."""
        return self._evaluate(np.concatenate(self._added))

    def evidence(self) -> candidate_selection.Evidence:
        """Computes per-picture results for comparing two models."""
        return self._compare(np.concatenate(self._added))

    def draw(self, folder: pathlib.Path) -> None:
        """Draws nothing."""


def check_arrays(
    targets: np.ndarray, predictions: np.ndarray, names: Sequence[str]
) -> None:
    """Checks that targets and predictions belong together and are finite.

    Args:
        targets: [n, outputs], or [n] class indices.
        predictions: [n, outputs].
        names: Names of the outputs.

    Raises:
        DataError: There is no example.
        RunError: A prediction is NaN or infinite.
        ValueError: The shapes do not fit.
    """
    count = len(targets)
    if count == 0:
        raise errors.DataError(
            "There is no picture to evaluate on; a split needs at least one."
        )
    expected = (count, len(names))
    # Class indices [n], or one target per output [n, outputs].
    if predictions.shape != expected or targets.shape not in (
        expected,
        (count,),
    ):
        raise ValueError(
            "Targets and predictions must be [examples, outputs] = "
            f"{expected}, got {targets.shape} and {predictions.shape}."
        )
    # Counted by picture: one NaN spoils all outputs of a softmax.
    bad = int(np.sum(~np.isfinite(predictions).all(axis=1)))
    if bad:
        raise errors.RunError(
            f"The model's predictions are NaN or infinite for {bad} of {count} "
            "pictures: training diverged. Try a lower --learning_rate."
        )
