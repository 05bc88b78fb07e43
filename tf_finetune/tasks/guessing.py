"""How labels are guessed, and which guesses are sure enough.

One threshold for all classes would take the easy ones alone, and the next
round would find more of those; each class therefore has its own.

Source: Zou et al. 2018, "Unsupervised Domain Adaptation for Semantic
Segmentation via Class-Balanced Self-Training", section 3.3 (the same portion
of what is guessed to be of each class); Lee 2013, "Pseudo-Label".
"""

import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from tf_finetune.data import examples


class Guesses(Protocol):
    """How pictures without labels get some that can be learnt.

    Attributes:
        by: "features": labels spread along what goes into the head.
        exclusive: Whether a picture shows one of the outputs; else any number
            of them, each a question of its own.
    """

    by: str
    exclusive: bool

    def rows(
        self, labels: Sequence[examples.Label], names: Sequence[str]
    ) -> np.ndarray:
        """Returns what labels say of each output, [n, outputs] of 0 and 1."""

    def labels(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        names: Sequence[str],
        *,
        share: float,
    ) -> Sequence[examples.Label | None]:
        """Returns a label for each picture that is sure enough, else None.

        Args:
            scores: [n, outputs] probabilities.
            rows: [labelled, outputs], of the pictures that have labels.
            names: Of the outputs.
            share: Of the pictures guessed to show something, 0..1.
        """

    def compare(
        self, label: examples.Label, row: np.ndarray, names: Sequence[str]
    ) -> tuple[int, int]:
        """Returns how many parts of a guess are right, and how many it has.

        Args:
            label: A guess.
            row: [outputs], the truth.
            names: Of the outputs.
        """


class MapGuesses(Protocol):
    """How pictures get labels that say something of each place.

    Attributes:
        by: "predictions": a model says them.
        exclusive: As of `Guesses`, for each place.
    """

    by: str
    exclusive: bool

    def thresholds(
        self, batches: Iterable[np.ndarray], share: float
    ) -> np.ndarray:
        """Returns from which probability on each output is taken, [outputs].

        Args:
            batches: Predictions [n, …, outputs] of all pictures.
            share: Of the places guessed to show something, 0..1.
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
        """Returns a picture's label, its files written; None: nothing is sure.

        Args:
            probabilities: [size, size, outputs], of the square picture.
            thresholds: [outputs].
            picture: Whose label it is.
            names: Of the outputs.
            folder: Where files go.
            resize: How the picture became square.
        """

    def compare(
        self,
        probabilities: np.ndarray,
        thresholds: np.ndarray,
        picture: examples.Picture,
        *,
        resize: str,
    ) -> tuple[int, int]:
        """Returns how many places are guessed rightly, and how many at all."""


def thresholds(scores: np.ndarray, share: float) -> np.ndarray:
    """Returns the score from which a guess of each class is taken.

    Args:
        scores: [n, classes]; the guess is the class of the highest.
        share: Of the pictures guessed to be of a class, 0..1.

    Returns:
        [classes]; infinite for a class that nothing is guessed to be of.
    """
    guesses = scores.argmax(axis=1)
    found = np.full(scores.shape[1], np.inf)
    for each in np.unique(guesses):
        mine = np.sort(scores[guesses == each, each])[::-1]
        found[each] = mine[math.ceil(share * len(mine)) - 1]
    return found


def of_one(scores: np.ndarray, share: float) -> np.ndarray:
    """Returns the class of each picture that is sure enough, else -1.

    Args:
        scores: [n, classes], of which a picture has one.
        share: As in `thresholds`.
    """
    guesses = scores.argmax(axis=1)
    is_sure = scores.max(axis=1) >= thresholds(scores, share)[guesses]
    return np.where(is_sure, guesses, -1)


def of_many(scores: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Returns what each picture shows, of any number of things.

    Each is taken to be shown by as large a share of these pictures as of the
    labelled ones, by those that are surest to.

    Args:
        scores: [n, outputs], 0..1.
        rates: [outputs], share of the labelled pictures that show it.

    Returns:
        bool [n, outputs].
    """
    found = np.zeros(scores.shape, bool)
    for index, rate in enumerate(rates):
        count = round(rate * len(scores))
        surest = np.argsort(-scores[:, index], kind="stable")[:count]
        found[surest, index] = True
    return found
