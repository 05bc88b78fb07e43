"""Answers of a classifier: the likeliest classes of single pictures."""

import pathlib
from collections.abc import Sequence

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.tasks import prediction_table


class Answers:
    """The likeliest classes of each picture."""

    def build_rows(
        self,
        paths: Sequence[str],
        predictions_: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int = 5,
    ) -> list[prediction_table.Prediction]:
        """Returns the likeliest classes, best first."""
        return prediction_table.from_probabilities(
            paths, predictions_, names, top_k=top_k
        )

    def build_error_row(
        self, path: str, reason: str
    ) -> prediction_table.Prediction:
        """Returns a row without a class."""
        return prediction_table.Prediction(path=path, error=reason)

    def format_row(self, row: prediction_table.Prediction) -> str:
        """Formats the likeliest class and its probability."""
        if row.error:
            return terminal_escapes.format_line(row.path, f"error: {row.error}")
        name = terminal_escapes.quote(row.class_name)
        return terminal_escapes.format_line(
            row.path, f"{name} {row.probability:.3f}"
        )

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[prediction_table.Prediction],
        truths: Sequence[str] | None = None,
    ) -> None:
        """Writes rows as CSV; see `prediction_table.write_csv`."""
        prediction_table.write_csv(path, rows, truths)

    def summarize(self, rows: Sequence[prediction_table.Prediction]) -> str:
        """Counts the pictures predicted to be of each class."""
        return prediction_table.summarize(rows)


ANSWERS = Answers()
