"""Answers of a segmentation: the share of each class in single pictures."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.data import examples
from tf_finetune.tasks import answer_table


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


class Answers(answer_table.AnswerTable):
    """The share of each picture's pixels that each class covers."""

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
        """Returns the classes' shares of the square input of the model."""
        # [size, size, classes] → the likeliest class of each pixel.
        shares = compute_shares(prediction.argmax(axis=-1), names)
        return Answer(path=path, shares=shares[:top_k])

    def describe(self, row: Answer) -> str:
        """Formats the shares of the classes."""
        return ", ".join(
            f"{terminal_escapes.quote(name)} {share:.1%}"
            for name, share in row.shares
        )

    def format_cells(self, row: Answer) -> list[str]:
        """Formats the files of the mask and the overlay, and the shares."""
        listed = answer_table.join_shares(row.shares)
        return [row.path, row.mask, row.overlay, listed, row.error]

    def format_truth(self, label: examples.Mask) -> str:
        """Returns the file of the true mask."""
        return label.path


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
