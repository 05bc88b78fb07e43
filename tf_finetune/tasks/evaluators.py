"""Evaluators: predictions of a split compared with its labels as they come."""

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tf_finetune.metrics import candidate_selection

if TYPE_CHECKING:
    pass


# Importing a part other than `Network` must not load TensorFlow: labels and
# figures are needed before it starts, to check flags and data.


class Evaluator(Protocol):
    """Accumulates predictions of a split and compares them with the labels."""

    def add(self, predictions: np.ndarray) -> None:
        """Adds the predictions of the next pictures of the split."""

    def figures(self) -> dict[str, Any]:
        """Returns the figures of all predictions added, ready for JSON."""

    def evidence(self) -> candidate_selection.Evidence:
        """Returns per-picture results to compare two models by."""

    def draw(self, folder: pathlib.Path) -> None:
        """Draws notable single pictures; may do nothing."""


class CollectedPredictions:
    """Accumulator for tasks whose predictions of a split fit into memory."""

    def __init__(
        self,
        evaluate: Callable[[np.ndarray], dict[str, Any]],
        compare: Callable[[np.ndarray], candidate_selection.Evidence],
    ) -> None:
        """Starts without predictions.

        Args:
            evaluate: All predictions [n, …] → figures.
            compare: All predictions → evidence for the comparison with
                another model.
        """
        self._evaluate = evaluate
        self._compare = compare
        self._added: list[np.ndarray] = []

    def add(self, predictions: np.ndarray) -> None:
        """Adds the predictions of the next pictures."""
        self._added.append(predictions)

    def figures(self) -> dict[str, Any]:
        """Returns the figures of all predictions added."""
        return self._evaluate(np.concatenate(self._added))

    def evidence(self) -> candidate_selection.Evidence:
        """Returns per-picture results to compare two models by."""
        return self._compare(np.concatenate(self._added))

    def draw(self, folder: pathlib.Path) -> None:
        """Draws nothing."""
