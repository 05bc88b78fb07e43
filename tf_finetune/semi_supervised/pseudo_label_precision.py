"""Precision of pseudo-labels, cross-validated on the labeled pictures.

Some of the labeled pictures are treated as unlabeled, get pseudo-labels
together with those, and are compared with their true labels.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

_FOLDS = 5

PseudoLabeler = Callable[[np.ndarray, np.ndarray], Sequence[object]]
"""(indices of pictures whose labels are known, indices of held-out pictures) →
a pseudo-label for each held-out picture, None where confidence is too low."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoLabelPrecision:
    """Counts of right pseudo-labels among held-out labeled pictures.

    Attributes:
        right: Pseudo labels that are true.
        guessed: Pseudo labels given: one per picture, or one for each label
            that it is said to have.
        sure: Pictures whose confidence suffices to train on.
        held_out: Pictures that were held out.
    """

    right: int
    guessed: int
    sure: int
    held_out: int

    @property
    def precision(self) -> float | None:
        """Fraction of pseudo-labels that are right; None if there are none."""
        return self.right / self.guessed if self.guessed else None


def cross_validate(
    rows: np.ndarray,
    guess: PseudoLabeler,
    *,
    groups: Sequence[str],
    compare: Callable[[object, np.ndarray], tuple[int, int]],
    seed: int,
) -> PseudoLabelPrecision:
    """Cross-validates pseudo-labels on the labeled pictures.

    Args:
        rows: [n, outputs], targets of the labeled pictures.
        guess: Computes pseudo-labels.
        groups: For each picture; those of one group are held out together.
        compare: A pseudo-label and the true row → parts right, parts given.
        seed: Of the division into folds.
    """
    right = guessed = sure = held_out = 0
    for numbers in _make_folds(rows, groups, seed):
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
    return PseudoLabelPrecision(
        right=right, guessed=guessed, sure=sure, held_out=held_out
    )


def _make_folds(
    rows: np.ndarray, groups: Sequence[str], seed: int
) -> list[np.ndarray]:
    """Divides groups into folds, stratified by label; returns indices."""
    generator = np.random.default_rng(seed)
    kinds: dict[bytes, list[str]] = {}
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        if group not in members:
            kinds.setdefault(rows[number].tobytes(), []).append(group)
        members.setdefault(group, []).append(number)
    # Dealt label by label, so that each fold gets its share of every label.
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
