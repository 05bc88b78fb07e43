"""How often guesses are right, measured where the truth is known.

Some of the labelled pictures are taken for pictures without labels, guessed
together with those, and compared with what they are.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

_FOLDS = 5

Guess = Callable[[np.ndarray, np.ndarray], Sequence[object]]
"""(numbers of the labelled pictures whose labels are known, those that are
guessed) → a guess for each of the second, None where it is not sure enough."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trust:
    """What guesses about held-out labelled pictures came to.

    Attributes:
        right: Guessed parts of labels that are true.
        guessed: Parts that were guessed: one a picture, or one for each thing
            that it is said to show.
        sure: Pictures that were sure enough to be learnt from.
        held_out: Pictures that were guessed at all.
    """

    right: int
    guessed: int
    sure: int
    held_out: int

    @property
    def precision(self) -> float | None:
        """Share of the guesses that are right; None: nothing was guessed."""
        return self.right / self.guessed if self.guessed else None


def cross_validated(
    rows: np.ndarray,
    guess: Guess,
    *,
    groups: Sequence[str],
    compare: Callable[[object, np.ndarray], tuple[int, int]],
    seed: int,
) -> Trust:
    """Guesses each labelled picture from the others.

    Args:
        rows: [n, outputs], what the labelled pictures show.
        guess: How guesses come about.
        groups: For each picture; those of one group are guessed together.
        compare: A guess and the true row → parts right, parts guessed.
        seed: Of the division.
    """
    right = guessed = sure = held_out = 0
    for numbers in _folds(rows, groups, seed):
        known = np.setdiff1d(np.arange(len(rows)), numbers)
        if not (rows[known].sum(axis=0)[rows.sum(axis=0) > 0] > 0).all():
            continue  # A class would have no example left.
        found = guess(known, numbers)
        held_out += len(numbers)
        for number, each in zip(numbers, found, strict=True):
            if each is None:
                continue
            parts = compare(each, rows[number])
            right, guessed, sure = (
                right + parts[0],
                guessed + parts[1],
                sure + 1,
            )
    return Trust(right=right, guessed=guessed, sure=sure, held_out=held_out)


def _folds(
    rows: np.ndarray, groups: Sequence[str], seed: int
) -> list[np.ndarray]:
    """Divides the groups, those of a kind evenly, into a few parts."""
    generator = np.random.default_rng(seed)
    kinds: dict[bytes, list[str]] = {}
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        if group not in members:
            kinds.setdefault(rows[number].tobytes(), []).append(group)
        members.setdefault(group, []).append(number)
    # One kind after the other, so that each part gets its share of all.
    dealt = [
        group
        for kind in sorted(kinds)
        for group in generator.permutation(kinds[kind])
    ]
    parts = [
        [number for group in dealt[k::_FOLDS] for number in members[group]]
        for k in range(_FOLDS)
    ]
    return [np.array(sorted(part)) for part in parts if part]
