"""Answers of a classifier: the likeliest classes of single pictures."""

import pathlib
from collections.abc import Sequence

import numpy as np

from tf_finetune import escaping
from tf_finetune.evaluation import predictions


class Answers:
    """The likeliest classes of each picture."""

    def of(
        self,
        paths: Sequence[str],
        predictions_: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int = 5,
    ) -> list[predictions.Prediction]:
        """Returns the likeliest classes, best first."""
        return predictions.from_probabilities(
            paths, predictions_, names, top_k=top_k
        )

    def failed(self, path: str, reason: str) -> predictions.Prediction:
        """Returns a row without a class."""
        return predictions.Prediction(path=path, error=reason)

    def line(self, row: predictions.Prediction) -> str:
        """Formats the likeliest class and its probability."""
        if row.error:
            return escaping.line(row.path, f"error: {row.error}")
        name = escaping.quote(row.class_name)
        return escaping.line(row.path, f"{name} {row.probability:.3f}")

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[predictions.Prediction],
        truths: Sequence[str] | None = None,
    ) -> None:
        """Writes rows as CSV; see `predictions.write_csv`."""
        predictions.write_csv(path, rows, truths)

    def summarize(self, rows: Sequence[predictions.Prediction]) -> str:
        """Counts the pictures predicted to be of each class."""
        return predictions.summarize(rows)


ANSWERS = Answers()
