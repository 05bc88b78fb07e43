"""Answers of a segmentation: the share of each class in single pictures."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_finetune import errors, terminal_escapes
from tf_finetune.data import data_statistics, examples
from tf_finetune.tasks import prediction_table

COLUMNS = ("path", "mask", "overlay", "shares", "error")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for one file.

    Attributes:
        path: The file.
        shares: The share of the pixels of each class that is there, the
            largest first.
        mask: The file of class indices, if one was written.
        overlay: The file of the picture with its classes in color, likewise.
        error: Why there is no answer; empty if there is one.
    """

    path: str
    shares: tuple[tuple[str, float], ...] = ()
    mask: str = ""
    overlay: str = ""
    error: str = ""


class Answers:
    """The share of each picture's pixels that each class covers."""

    def build_rows(
        self,
        paths: Sequence[str],
        predictions: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int = 5,
    ) -> list[Answer]:
        """Returns the classes' shares of the square input of the model.

        Args:
            paths: n files.
            predictions: [n, size, size, classes] probabilities.
            names: Of the classes.
            top_k: How many classes are listed.
        """
        if not np.isfinite(predictions).all():
            raise errors.RunError(
                "The model gives probabilities that are NaN or infinite: its "
                "training diverged, or its file was damaged. Train again with "
                "a lower --learning_rate, or copy the file again."
            )
        return [
            Answer(path=path, shares=compute_shares(indices, names)[:top_k])
            for path, indices in zip(
                paths, predictions.argmax(axis=-1), strict=True
            )
        ]

    def build_error_row(self, path: str, reason: str) -> Answer:
        """Returns a row without a mask."""
        return Answer(path=path, error=reason)

    def format_row(self, row: Answer) -> str:
        """Formats the shares of the classes."""
        if row.error:
            return terminal_escapes.format_line(row.path, f"error: {row.error}")
        listed = ", ".join(
            f"{terminal_escapes.quote(name)} {share:.1%}"
            for name, share in row.shares
        )
        return terminal_escapes.format_line(row.path, listed)

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[Answer],
        truths: Sequence[examples.Mask] | None = None,
    ) -> None:
        r"""Writes rows as CSV, atomically.

        `compute_shares` is `name:share|name:share…`, with `\|` for a `|` in a
        name and `\\` for a backslash; a last column `true` names the file of
        the mask, where there is one.
        """
        true = truths and [mask.path for mask in truths]
        prediction_table.write_table(
            path, COLUMNS, [_format_cells(row) for row in rows], true
        )

    def summarize(self, rows: Sequence[Answer]) -> str:
        """Counts the pictures and those that failed."""
        failed = sum(bool(row.error) for row in rows)
        asked = data_statistics.format_count(len(rows), "file")
        text = f"{asked}, {len(rows) - failed} predicted."
        if failed:
            text += (
                f"\n{failed} could not be used; the column `error` says why."
            )
        return text


ANSWERS = Answers()


def compute_shares(
    indices: np.ndarray, names: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    """Computes the share of each class in a mask, the largest first.

    Args:
        indices: [height, width].
        names: Of the classes; those that are not there are left out.
    """
    counts = np.bincount(indices.ravel(), minlength=len(names))
    # Stable, so that of equal shares the first class leads.
    order = np.argsort(-counts, kind="stable")
    return tuple(
        (names[i], counts[i] / indices.size) for i in order if counts[i]
    )


def _format_cells(row: Answer) -> list[str]:
    listed = "|".join(
        f"{prediction_table.escape_separators(name)}:{share:.6f}"
        for name, share in row.shares
    )
    return [row.path, row.mask, row.overlay, listed, row.error]
