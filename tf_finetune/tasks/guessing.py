"""Which guesses are sure enough to be learnt from.

One threshold for all classes would take the easy ones alone, and the next
round would find more of those; each class therefore has its own.

Source: Zou et al. 2018, "Unsupervised Domain Adaptation for Semantic
Segmentation via Class-Balanced Self-Training", section 3.3 (the same portion
of what is guessed to be of each class); Lee 2013, "Pseudo-Label".
"""

import math

import numpy as np


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


def surest(scores: np.ndarray, share: float) -> np.ndarray:
    """Marks the pictures whose scores of all outputs are clearest.

    Args:
        scores: [n, outputs], 0..1.
        share: Of the pictures, 0..1.

    Returns:
        bool [n].
    """
    clear = np.abs(scores - 0.5).mean(axis=1)
    found = np.zeros(len(scores), bool)
    count = math.ceil(share * len(scores))
    found[np.argsort(-clear, kind="stable")[:count]] = True
    return found
