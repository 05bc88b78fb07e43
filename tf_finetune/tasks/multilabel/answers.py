"""Answers of a multi-label model: labels and probabilities as a table."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.tasks import answer_table
from tf_finetune.tasks.multilabel import label_cells, label_thresholds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Prediction for one picture file: its labels, or an error.

    Attributes:
        path: The file.
        labels: Those whose probability reaches their threshold, the likeliest
            first.
        probabilities: Label → probability, 0..1, of every label; empty if
            there is an error.
        error: Why there is no prediction; empty if there is one.
    """

    path: str
    labels: tuple[str, ...] = ()
    probabilities: Mapping[str, float] = dataclasses.field(default_factory=dict)
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Answers(answer_table.AnswerTable):
    """Table of the labels of each picture, with all probabilities.

    Attributes:
        decision: `thresholds` by label, as `Task.decide` returns them;
            empty: 0.5 for all.
    """

    row_type = Answer
    columns = ("path", "labels", "probabilities", "error")

    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def with_decision(self, decision: Mapping[str, Any]) -> "Answers":
        """Returns a new table that predicts labels at these thresholds."""
        return Answers(decision)

    def build_row(
        self,
        path: str,
        prediction: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int,
    ) -> Answer:
        """Builds the table row of one picture, with all probabilities.

        Args:
            path: The picture file.
            prediction: [labels] probabilities.
            names: Names of the labels, in the order of `prediction`.
            top_k: Not used.
        """
        bounds = label_thresholds.read_thresholds(self.decision, names)
        # Stable, so that the first of equally likely labels leads.
        order = np.argsort(-prediction, kind="stable")
        # A label is given from its threshold on, so `>=`.
        given = prediction >= bounds
        return Answer(
            path=path,
            labels=tuple(names[i] for i in order if given[i]),
            probabilities=dict(zip(names, map(float, prediction), strict=True)),
        )

    def describe(self, row: Answer) -> str:
        """Formats the predicted labels with probabilities, likeliest first."""
        given = ", ".join(
            f"{terminal_escapes.quote(name)} {row.probabilities[name]:.3f}"
            for name in row.labels
        )
        return given or "(no label)"

    def format_cells(self, row: Answer) -> list[str]:
        """Formats a row as four CSV cells: path, labels, probabilities, error.

        Predicted labels share one cell, and so do the probabilities of all
        labels: "cat:0.900000|dog:0.100000".
        """
        listed = answer_table.join_shares(list(row.probabilities.items()))
        return [
            row.path,
            label_cells.join_labels(row.labels),
            listed,
            row.error,
        ]

    def format_truth(self, label: Sequence[str]) -> str:
        """Formats the true labels as `a|b|c`."""
        return label_cells.join_labels(label)

    def count_answers(self, rows: Sequence[Answer]) -> list[str]:
        """Formats numbers of pictures by predicted label, one line each.

        Only the ten most frequent labels are listed.
        """
        counts = collections.Counter(n for row in rows for n in row.labels)
        lines = answer_table.list_counts(counts.most_common())
        if len(counts) > len(lines):
            lines.append(f"  and {len(counts) - len(lines)} other labels")
        without = sum(not row.labels for row in rows)
        return [*lines, f"  {'(no label)':40} {without:>8}"]
