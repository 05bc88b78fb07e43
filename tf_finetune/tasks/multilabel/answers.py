"""Answers of a multi-label model: labels and probabilities as a table."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import errors, terminal_escapes
from tf_finetune.data import data_statistics
from tf_finetune.drawing import display_names
from tf_finetune.tasks import prediction_table
from tf_finetune.tasks.multilabel import label_cells, label_thresholds

# Labels that the summary of all rows lists.
_LISTED = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for one file.

    Attributes:
        path: The file.
        labels: Those whose probability reaches their threshold, the likeliest
            first.
        probabilities: Of every label, 0..1; empty if there is an error.
        error: Why there is no answer; empty if there is one.
    """

    path: str
    labels: tuple[str, ...] = ()
    probabilities: Mapping[str, float] = dataclasses.field(default_factory=dict)
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Answers:
    """The labels of each picture, with all probabilities.

    Attributes:
        decision: The thresholds, as `figures.decide` returns them.
    """

    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def with_decision(self, decision: Mapping[str, Any]) -> "Answers":
        """Returns answers that give labels at the decision's thresholds."""
        return Answers(decision)

    def build_rows(
        self,
        paths: Sequence[str],
        predictions: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int = 5,
    ) -> list[Answer]:
        """Returns one answer per path.

        Args:
            paths: n files.
            predictions: [n, labels] in 0..1, in the order of `paths`.
            names: In the order of the columns.
            top_k: Not used; all probabilities are given.

        Raises:
            ValueError: The arrays do not belong together.
            RunError: A probability is NaN or infinite.
        """
        predictions = np.asarray(predictions)
        if predictions.shape != (len(paths), len(names)):
            raise ValueError(
                "Probabilities must be [paths, labels] = "
                f"{(len(paths), len(names))}, got {predictions.shape}."
            )
        if not np.isfinite(predictions).all():
            raise errors.RunError(
                "The model gives probabilities that are NaN or infinite: its "
                "training diverged, or its file was damaged. Train again with "
                "a lower --learning_rate, or copy the file again."
            )
        # A label is given from its threshold on, so `>=`.
        bounds = label_thresholds.read_thresholds(self.decision, names)
        return [
            _build_answer(path, row, row >= bounds, names)
            for path, row in zip(paths, predictions, strict=True)
        ]

    def build_error_row(self, path: str, reason: str) -> Answer:
        """Returns a row without labels."""
        return Answer(path=path, error=reason)

    def format_row(self, row: Answer) -> str:
        """Formats the labels and their probabilities."""
        if row.error:
            return terminal_escapes.format_line(row.path, f"error: {row.error}")
        given = ", ".join(
            f"{terminal_escapes.quote(name)} {row.probabilities[name]:.3f}"
            for name in row.labels
        )
        return terminal_escapes.format_line(row.path, given or "(no label)")

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[Answer],
        truths: Sequence[Sequence[str]] | None = None,
    ) -> None:
        r"""Writes answers as CSV, atomically.

        Columns `path,labels,probabilities,error`; labels is `a|b|c`, the
        likeliest first, and probabilities `a:0.9|b:0.2|…` of all labels in
        the model's order, with `\|` for a `|` in a name and `\\` for a
        backslash. Where labels are known, they are the last column, `true`.
        Paths keep their line breaks (quoted) and bytes that are no
        UTF-8: read the file with `newline=""` and `errors="surrogateescape"`.
        """
        columns = ("path", "labels", "probabilities", "error")
        true = truths and [label_cells.join_labels(each) for each in truths]
        prediction_table.write_table(
            path, columns, [_format_cells(row) for row in rows], true
        )

    def summarize(self, rows: Sequence[Answer]) -> str:
        """Counts how often each label was given, and the files that failed."""
        answered = [row for row in rows if not row.error]
        counts = collections.Counter(n for row in answered for n in row.labels)
        asked = data_statistics.format_count(len(rows), "file")
        lines = [f"{asked}, {len(answered)} predicted:"]
        for name, count in counts.most_common(_LISTED):
            lines.append(f"  {display_names.pad_name(name, 40)} {count:>8}")
        if len(counts) > _LISTED:
            lines.append(f"  and {len(counts) - _LISTED} other labels")
        without = sum(not row.labels for row in answered)
        lines.append(f"  {'(no label)':40} {without:>8}")
        failed = len(rows) - len(answered)
        if failed:
            lines.append(
                f"{failed} could not be used; the column `error` says why."
            )
        return "\n".join(lines)


def _build_answer(
    path: str, row: np.ndarray, given: np.ndarray, names: Sequence[str]
) -> Answer:
    # Stable, so that the first of equally likely labels leads.
    order = np.argsort(-row, kind="stable")
    return Answer(
        path=path,
        labels=tuple(names[i] for i in order if given[i]),
        probabilities=dict(zip(names, map(float, row), strict=True)),
    )


def _format_cells(row: Answer) -> list[str]:
    # Bars within names are escaped, so that the cell can be split again.
    listed = label_cells.SEPARATOR.join(
        f"{label_cells.escape_label(name)}:{probability:.6f}"
        for name, probability in row.probabilities.items()
    )
    return [row.path, label_cells.join_labels(row.labels), listed, row.error]
