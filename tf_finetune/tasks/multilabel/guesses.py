"""What pictures without labels are taken to carry."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.tasks import guessing


class Guesses:
    """Each label as often as among labelled pictures, the clearest pictures."""

    exclusive = False

    def rows(
        self, labels: Sequence[tuple[str, ...]], names: Sequence[str]
    ) -> np.ndarray:
        """Returns [n, labels], 1 where a picture carries the label."""
        places = {name: index for index, name in enumerate(names)}
        found = np.zeros([len(labels), len(names)])
        for row, carried in zip(found, labels, strict=True):
            row[[places[name] for name in carried]] = 1.0
        return found

    def labels(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        names: Sequence[str],
        *,
        share: float,
    ) -> list[tuple[str, ...] | None]:
        """Returns the labels of each picture that is clear enough."""
        given = guessing.of_many(scores, rows.mean(axis=0))
        is_clear = guessing.surest(scores, share)
        return [
            tuple(sorted(np.array(names, object)[its])) if clear else None
            for its, clear in zip(given, is_clear, strict=True)
        ]

    def compare(
        self, label: tuple[str, ...], row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Returns how many labels are rightly given or not, and how many."""
        (guess,) = self.rows([label], names)
        return int(np.sum(guess == row)), len(names)


GUESSES = Guesses()
