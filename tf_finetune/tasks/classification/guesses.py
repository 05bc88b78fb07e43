"""What pictures without labels are taken to be, for a classifier."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.tasks import guessing


class Guesses:
    """One class a picture, the surest ones of each class."""

    by = "features"
    exclusive = True

    def rows(self, labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """Returns one-hot rows [n, classes]."""
        places = {name: index for index, name in enumerate(names)}
        return np.eye(len(names))[[places[label] for label in labels]]

    def labels(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        names: Sequence[str],
        *,
        share: float,
    ) -> list[str | None]:
        """Returns a class for each picture that is sure enough."""
        chosen = guessing.of_one(scores, share)
        return [None if each < 0 else names[each] for each in chosen]

    def compare(
        self, label: str, row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Returns (1 if the class is right else 0, 1)."""
        return int(names[int(np.argmax(row))] == label), 1


GUESSES = Guesses()
