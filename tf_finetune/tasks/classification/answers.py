"""Answers of a classifier: the likeliest classes of single pictures."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.tasks import answer_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """Prediction for one picture file: its classes, or an error.

    Attributes:
        path: The file.
        class_name: The likeliest class; empty if there is an error.
        probability: Probability of that class, 0..1; None if there is an
            error.
        top_k: The likeliest classes with their probabilities, best first.
        error: Why there is no prediction; empty if there is one.
    """

    path: str
    class_name: str = ""
    probability: float | None = None
    top_k: tuple[tuple[str, float], ...] = ()
    error: str = ""


class Answers(answer_table.AnswerTable):
    """Table of the likeliest classes of each picture."""

    row_type = Prediction
    columns = ("path", "class", "probability", "top_k", "error")

    def build_row(
        self,
        path: str,
        prediction: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int,
    ) -> Prediction:
        """Builds the table row of one picture: its `top_k` likeliest classes.

        Args:
            path: The picture file.
            prediction: [classes] probabilities.
            names: Names of the classes, in the order of `prediction`.
            top_k: How many classes are listed, at least 1.
        """
        # Stable, so that the first of equal classes wins as in argmax.
        best = np.argsort(-prediction, kind="stable")[:top_k]
        return Prediction(
            path=path,
            class_name=names[best[0]],
            probability=float(prediction[best[0]]),
            top_k=tuple((names[i], float(prediction[i])) for i in best),
        )

    def describe(self, row: Prediction) -> str:
        """Formats the likeliest class and its probability: "cat 0.912"."""
        name = terminal_escapes.quote(row.class_name)
        return f"{name} {row.probability:.3f}"

    def format_cells(self, row: Prediction) -> list[str]:
        """Formats path, class, probability, `top_k` and error as CSV cells."""
        shown = "" if row.probability is None else f"{row.probability:.6f}"
        listed = answer_table.join_shares(row.top_k)
        return [row.path, row.class_name, shown, listed, row.error]

    def count_answers(self, rows: Sequence[Prediction]) -> list[str]:
        """Formats numbers of pictures by predicted class, one line each.

        The ten most frequent classes are listed, the others summed up in a
        line.
        """
        counts = collections.Counter(row.class_name for row in rows)
        # At most ten classes are listed; the others are summed up in a line.
        lines = answer_table.list_counts(counts.most_common())
        if others := counts.most_common()[len(lines) :]:
            rest = sum(count for _, count in others)
            lines.append(f"  {len(others)} other classes{rest:>26}")
        return lines


ANSWERS = Answers()
