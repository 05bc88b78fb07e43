"""What pictures without labels are taken to show, of any number of things."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.tasks import guessing


class Guesses:
    """Each label as often as among the labelled pictures.

    A picture is learnt from if it is among the surest to show something; all
    that it is taken to show is then its label.
    """

    by = "features"
    exclusive = False

    def rows(
        self, labels: Sequence[Sequence[str]], names: Sequence[str]
    ) -> np.ndarray:
        """Returns rows [n, labels] of 0 and 1."""
        return np.array(
            [[float(name in label) for name in names] for label in labels]
        )

    def labels(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        names: Sequence[str],
        *,
        share: float,
    ) -> list[tuple[str, ...] | None]:
        """Returns the labels of each picture that is sure enough."""
        rates = rows.mean(axis=0)
        shown = guessing.of_many(scores, rates)
        is_sure = guessing.of_many(scores, rates * share).any(axis=1)
        return [
            _named(names, row) if sure else None
            for row, sure in zip(shown, is_sure, strict=True)
        ]

    def compare(
        self, label: Sequence[str], row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Returns how many of the guessed labels are right, and how many."""
        return len({*_named(names, row)} & {*label}), len(label)


GUESSES = Guesses()


def _named(names: Sequence[str], row: np.ndarray) -> tuple[str, ...]:
    pairs = zip(names, row, strict=True)
    return tuple(sorted(name for name, is_shown in pairs if is_shown))
