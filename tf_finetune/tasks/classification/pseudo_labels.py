"""Pseudo-labels of a classifier: one class per unlabeled picture."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.tasks import pseudo_label_selection


class ClassPseudoLabels:
    """One class per picture, given to the most confident ones of each class."""

    by = "features"
    exclusive = True

    def rows(self, labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """Encodes labels as one-hot rows [n, classes]."""
        places = {name: index for index, name in enumerate(names)}
        # Row i of the identity matrix is the one-hot row of class i.
        return np.eye(len(names))[[places[label] for label in labels]]

    def labels(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        names: Sequence[str],
        *,
        share: float,
    ) -> list[str | None]:
        """Returns the class of each confident picture, else None."""
        chosen = pseudo_label_selection.select_classes(scores, share)
        return [None if each < 0 else names[each] for each in chosen]

    def count_correct(
        self, label: str, row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Returns (1 if the class is right else 0, 1)."""
        return int(names[int(np.argmax(row))] == label), 1


PSEUDO_LABELS = ClassPseudoLabels()
