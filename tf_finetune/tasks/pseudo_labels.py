"""Pseudo-labels of unlabeled pictures, selected by a threshold per class.

One threshold for all classes would select the easy ones alone, and the next
round would find more of those; each class therefore has its own.

Source: Zou et al. 2018, "Unsupervised Domain Adaptation for Semantic
Segmentation via Class-Balanced Self-Training", section 3.3 (the same portion
of the pseudo-labels of each class); Lee 2013, "Pseudo-Label".
"""

import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from tf_finetune.data import examples


class PseudoLabels(Protocol):
    """Protocol of pseudo-labels (predicted labels) of whole pictures.

    Attributes:
        by: How labels come about; "features": from labeled pictures with
            similar features.
        exclusive: Whether a picture has exactly one of the outputs; else any
            number of them, independently.
    """

    by: str
    exclusive: bool

    def rows(
        self, labels: Sequence[examples.Label], names: Sequence[str]
    ) -> np.ndarray:
        """Encodes n labels as rows of 0 and 1, [n, outputs]."""

    def labels(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        names: Sequence[str],
        *,
        share: float,
    ) -> Sequence[examples.Label | None]:
        """Selects pseudo-labels of the most confident pictures.

        Args:
            scores: [n, outputs] probabilities of unlabeled pictures.
            rows: [labeled, outputs] of 0 and 1, true labels of the labeled
                pictures, as `rows` encodes them.
            names: Names of the outputs.
            share: Share of the pictures predicted to be of a class that get
                a pseudo-label, 0..1.

        Returns:
            A label per picture, in order; None where confidence is too low.
        """

    def count_correct(
        self, label: examples.Label, row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Counts the correct parts of a pseudo-label, and all its parts.

        Args:
            label: The pseudo-label.
            row: [outputs] of 0 and 1, the true label.
            names: Names of the outputs.

        Returns:
            (correct, all), both 0 or more.
        """


class MaskPseudoLabels(Protocol):
    """Protocol of pseudo-labels (predicted classes) of pixels.

    Attributes:
        by: "predictions", the only source of labels of pixels.
        exclusive: Whether a pixel has exactly one of the outputs.
    """

    by: str
    exclusive: bool

    def find_thresholds(
        self, batches: Iterable[np.ndarray], share: float
    ) -> np.ndarray:
        """Finds the probability threshold of each output, [outputs].

        Args:
            batches: Predictions [n, …, outputs] of all pictures.
            share: Share of the pixels predicted to be of a class that get a
                pseudo-label, 0..1.
        """

    def label(
        self,
        probabilities: np.ndarray,
        thresholds: np.ndarray,
        picture: examples.Picture,
        names: Sequence[str],
        *,
        folder: pathlib.Path,
        resize: str,
    ) -> examples.Label | None:
        """Writes the pseudo-label of a picture as a mask file.

        Args:
            probabilities: [size, size, outputs], of the square picture.
            thresholds: [outputs], from `find_thresholds`.
            picture: The picture, for its size and the file's name.
            names: Names of the outputs.
            folder: Where the file is written.
            resize: How the picture became square, a value of `--resize`.

        Returns:
            The label; None, and no file, where no pixel is confident.
        """

    def count_correct(
        self,
        probabilities: np.ndarray,
        thresholds: np.ndarray,
        picture: examples.Picture,
        *,
        resize: str,
    ) -> tuple[int, int]:
        """Counts pixels with a correct pseudo-label, and all that have one.

        `picture` has the true mask; other arguments are those of `label`.
        """


Labeler = PseudoLabels | MaskPseudoLabels
"""The two kinds of pseudo-labels that a task may have."""


def find_thresholds(scores: np.ndarray, share: float) -> np.ndarray:
    """Finds the score from which predictions of each class are selected.

    Args:
        scores: [n, classes]; a picture is predicted to be of the class with
            the highest score.
        share: Share of the pictures predicted to be of a class that is
            selected, above 0 and up to 1.

    Returns:
        [classes]; infinite for a class that is never predicted.
    """
    guesses = scores.argmax(axis=1)
    found = np.full(scores.shape[1], np.inf)
    for each in np.unique(guesses):
        # The score at rank share · n of this class: exp(-k_c) in the paper.
        mine = np.sort(scores[guesses == each, each])[::-1]
        found[each] = mine[math.ceil(share * len(mine)) - 1]
    return found


def select_classes(scores: np.ndarray, share: float) -> np.ndarray:
    """Selects the class of each confident picture.

    Args:
        scores: [n, classes]; the highest decides.
        share: Share selected per class, see `find_thresholds`.

    Returns:
        [n] class indices; -1 where confidence is too low.
    """
    guesses = scores.argmax(axis=1)
    is_sure = scores.max(axis=1) >= find_thresholds(scores, share)[guesses]
    return np.where(is_sure, guesses, -1)


def select_labels(scores: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Selects labels of pictures that may carry any number of them.

    Each label is given to as large a share of these pictures as of the labeled
    ones: to those with the highest scores.

    Args:
        scores: [n, outputs] in 0..1.
        rates: [outputs] in 0..1, share of the labeled pictures that carry each
            label.

    Returns:
        bool [n, outputs].
    """
    found = np.zeros(scores.shape, bool)
    for index, rate in enumerate(rates):
        count = round(rate * len(scores))
        # Stable, so that equal scores are selected alike everywhere.
        surest = np.argsort(-scores[:, index], kind="stable")[:count]
        found[surest, index] = True
    return found


class ClassPseudoLabels:
    """Pseudo-labels of classification: one class per confident picture."""

    by = "features"
    exclusive = True

    def rows(self, labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """Encodes n class names as one-hot rows, float64 [n, classes]."""
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
        """Selects the class of the `share` most confident pictures a class.

        `rows` is not used. Returns a class name per picture; None where
        confidence is too low.
        """
        chosen = select_classes(scores, share)
        return [None if each < 0 else names[each] for each in chosen]

    def count_correct(
        self, label: str, row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Returns (1, 1) if the class is right, else (0, 1).

        `row` is the true class as a one-hot row.
        """
        return int(names[int(np.argmax(row))] == label), 1


CLASS_PSEUDO_LABELS = ClassPseudoLabels()


class LabelPseudoLabels:
    """Pseudo-labels of multi-label classification, at the labels' rates.

    Each label is selected for as large a share of the pictures as carries it
    among the labeled ones: those with its highest scores. A picture is trained
    on if it is among the most confident of one of its selected labels; it then
    gets all of them.
    """

    by = "features"
    exclusive = False

    def rows(
        self, labels: Sequence[Sequence[str]], names: Sequence[str]
    ) -> np.ndarray:
        """Encodes n tuples of names as rows of 0 and 1, [n, labels]."""
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
        """Selects the labels of the most confident pictures.

        `rows` gives the rate of each label; of the pictures selected for a
        label at this rate, `share` are confident enough. Returns sorted names
        per picture; None where no label is confident enough.
        """
        # At full rate the labels themselves, at `share` of it the confidence.
        rates = rows.mean(axis=0)
        shown = select_labels(scores, rates)
        is_sure = select_labels(scores, rates * share).any(axis=1)
        return [
            _list_names(names, row) if sure else None
            for row, sure in zip(shown, is_sure, strict=True)
        ]

    def count_correct(
        self, label: Sequence[str], row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Counts the correct names in a pseudo-label, and all its names.

        `row` [labels] is the true label as 0 and 1.
        """
        return len({*_list_names(names, row)} & {*label}), len(label)


LABEL_PSEUDO_LABELS = LabelPseudoLabels()


def _list_names(names: Sequence[str], row: np.ndarray) -> tuple[str, ...]:
    # Sorted, as labels of a table are.
    pairs = zip(names, row, strict=True)
    return tuple(sorted(name for name, is_shown in pairs if is_shown))
