"""Answers of a task: predictions of single pictures as rows of a table."""

import abc
import pathlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tf_finetune import errors, terminal_escapes
from tf_finetune.data import data_statistics
from tf_finetune.drawing import display_names
from tf_finetune.tasks import prediction_table

_MAX_LISTED = 10


class AnswerTable(abc.ABC):
    """Builds, prints, writes and counts the rows; a task says how one reads.

    Attributes:
        row_type: A dataclass with `path`, `error` and defaults for the rest.
        columns: Of the CSV file.
    """

    row_type: ClassVar[type]
    columns: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def build_row(
        self,
        path: str,
        prediction: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int,
    ) -> Any:
        """Returns the row of one picture; `prediction` is [..., outputs]."""

    @abc.abstractmethod
    def describe(self, row: Any) -> str:
        """Describes the answer in a row, on one line."""

    @abc.abstractmethod
    def format_cells(self, row: Any) -> list[str]:
        """Returns the cells of a row, in the order of `columns`."""

    def format_truth(self, label: Any) -> str:
        """Returns the cell of a true label."""
        return label

    def count_answers(self, rows: Sequence[Any]) -> list[str]:
        """Returns lines that count the answers; rows have no error."""
        return []

    def build_rows(
        self,
        paths: Sequence[str],
        predictions: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int = 5,
    ) -> list[Any]:
        """Returns one row per path.

        Args:
            paths: n files.
            predictions: [n, …, outputs], in the order of `paths`.
            names: In the order of the outputs.
            top_k: How many names are listed, where the task lists some.

        Raises:
            ValueError: The arrays do not belong together.
            RunError: A prediction is NaN or infinite.
        """
        predictions = np.asarray(predictions)
        shape = (len(predictions), predictions.shape[-1])
        if shape != (len(paths), len(names)):
            raise ValueError(
                f"Predictions must be of {len(paths)} paths and {len(names)} "
                f"outputs, got the shape {predictions.shape}."
            )
        if not np.isfinite(predictions).all():
            raise errors.RunError(
                "The model gives predictions that are NaN or infinite: its "
                "training diverged, or its file was damaged. Train again with "
                "a lower --learning_rate, or copy the file again."
            )
        return [
            self.build_row(path, each, names, top_k=top_k)
            for path, each in zip(paths, predictions, strict=True)
        ]

    def build_error_row(self, path: str, reason: str) -> Any:
        """Returns the row of a file that is not a usable picture."""
        return self.row_type(path=path, error=reason)

    def format_row(self, row: Any) -> str:
        """Formats the answer, or the reason why there is none."""
        shown = f"error: {row.error}" if row.error else self.describe(row)
        return terminal_escapes.format_line(row.path, shown)

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[Any],
        truths: Sequence[Any] | None = None,
    ) -> None:
        """Writes rows as CSV, atomically; `read_table` reads the file.

        Where true labels are known, they are the last column, `true`. Paths
        keep their line breaks (quoted) and bytes that are not UTF-8.
        """
        true = truths and [self.format_truth(each) for each in truths]
        cells = [self.format_cells(row) for row in rows]
        prediction_table.write_table(path, self.columns, cells, true)

    def summarize(self, rows: Sequence[Any]) -> str:
        """Summarizes the answers and counts the files that failed."""
        answered = [row for row in rows if not row.error]
        counted = self.count_answers(answered)
        asked = data_statistics.format_count(len(rows), "file")
        end = ":" if counted else "."
        lines = [f"{asked}, {len(answered)} predicted{end}", *counted]
        if failed := len(rows) - len(answered):
            lines.append(
                f"{failed} could not be used; the column `error` says why."
            )
        return "\n".join(lines)


def list_counts(counts: Sequence[tuple[str, int]]) -> list[str]:
    """Lists how often names were answered, at most ten.

    Args:
        counts: Names and counts, the most frequent first.
    """
    return [
        f"  {display_names.pad_name(name, 40)} {count:>8}"
        for name, count in counts[:_MAX_LISTED]
    ]


def join_shares(shares: Sequence[tuple[str, float]]) -> str:
    r"""Joins names and numbers as `name:0.9|name:0.1` in one cell.

    A `|` in a name is written `\|`, a backslash `\\`.
    """
    return "|".join(
        f"{prediction_table.escape_separators(name)}:{share:.6f}"
        for name, share in shares
    )
