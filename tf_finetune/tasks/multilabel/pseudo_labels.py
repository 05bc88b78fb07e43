"""Pseudo-labels of a multi-label model: any number per unlabeled picture."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.tasks import pseudo_label_selection


class LabelPseudoLabels:
    """Each label as often as among the labeled pictures.

    A picture is trained on if it is among the most confident ones of a label;
    it then gets all labels that it was selected for.
    """

    by = "features"
    exclusive = False

    def rows(
        self, labels: Sequence[Sequence[str]], names: Sequence[str]
    ) -> np.ndarray:
        """Encodes labels as rows [n, labels] of 0 and 1."""
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
        """Returns the labels of each confident picture, else None."""
        # At full rate the labels themselves, at `share` of it the confidence.
        rates = rows.mean(axis=0)
        shown = pseudo_label_selection.select_labels(scores, rates)
        is_sure = pseudo_label_selection.select_labels(
            scores, rates * share
        ).any(axis=1)
        return [
            _list_names(names, row) if sure else None
            for row, sure in zip(shown, is_sure, strict=True)
        ]

    def count_correct(
        self, label: Sequence[str], row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Counts the correct labels of a pseudo-label, and all of them."""
        return len({*_list_names(names, row)} & {*label}), len(label)


PSEUDO_LABELS = LabelPseudoLabels()


def _list_names(names: Sequence[str], row: np.ndarray) -> tuple[str, ...]:
    # Sorted, as labels of a table are.
    pairs = zip(names, row, strict=True)
    return tuple(sorted(name for name, is_shown in pairs if is_shown))
