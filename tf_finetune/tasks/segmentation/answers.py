"""Answers of a segmentation: the share of each class in single pictures."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.data import examples
from tf_finetune.tasks import answer_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Prediction for one picture file: its class shares, or an error.

    Attributes:
        path: The file.
        shares: Names of classes and their shares of the pixels, 0..1, the
            largest first; classes without a pixel are left out.
        mask: The file of predicted class indices; empty if none was written.
        overlay: The file of the picture with its classes in color; empty if
            none was written.
        error: Why there is no prediction; empty if there is one.
    """

    path: str
    shares: tuple[tuple[str, float], ...] = ()
    mask: str = ""
    overlay: str = ""
    error: str = ""


class Answers(answer_table.AnswerTable):
    """Table of the share of each picture's pixels that each class covers."""

    row_type = Answer
    columns = ("path", "mask", "overlay", "shares", "error")

    def build_row(
        self,
        path: str,
        prediction: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int,
    ) -> Answer:
        """Builds the table row of one picture: shares of its largest classes.

        Args:
            path: The picture file.
            prediction: [size, size, classes] probabilities.
            names: Names of the classes, in the order of `prediction`.
            top_k: How many classes are listed, the largest ones.
        """
        # [size, size, classes] → the likeliest class of each pixel.
        shares = compute_shares(prediction.argmax(axis=-1), names)
        return Answer(path=path, shares=shares[:top_k])

    def describe(self, row: Answer) -> str:
        """Formats the listed classes with their shares of pixels in percent."""
        return ", ".join(
            f"{terminal_escapes.quote(name)} {share:.1%}"
            for name, share in row.shares
        )

    def format_cells(self, row: Answer) -> list[str]:
        """Formats path, mask file, overlay file, shares, error as CSV cells."""
        listed = answer_table.join_shares(row.shares)
        return [row.path, row.mask, row.overlay, listed, row.error]

    def format_truth(self, label: examples.Mask) -> str:
        """Returns the path of the true mask."""
        return label.path


ANSWERS = Answers()


def compute_shares(
    indices: np.ndarray, names: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    """Computes the share of each class in a mask, the largest first.

    Args:
        indices: [height, width] class indices.
        names: Names of the classes.

    Returns:
        Pairs of name and share of the pixels, 0..1; classes without a pixel
        are left out.
    """
    counts = np.bincount(indices.ravel(), minlength=len(names))
    # Stable, so that of equal shares the first class leads.
    order = np.argsort(-counts, kind="stable")
    return tuple(
        (names[i], counts[i] / indices.size) for i in order if counts[i]
    )
