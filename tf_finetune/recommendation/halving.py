"""Successive halving: rungs of pictures per class, ranks, survivors.

Source: Karnin et al. 2013, "Almost Optimal Exploration in Multi-Armed Bandits",
section 3, with pictures in place of pulls.
"""

from collections.abc import Mapping, Sequence

import numpy as np

# Pictures a class: ten drop networks with random weights and cost at most 1.6
# points of accuracy; five are enough for the better half (docs/choosing.md).
_RUNGS = (5, 20)
# Up to this many candidates the first rung saves less than it costs to read.
_FEW = 4
PROBE_FROM = 20
"""Pictures a class from which the probe is solved; fewer are cross-validated
too coarsely."""
FINALISTS = 2
"""Candidates that are compared on all pictures, and fine-tuned."""


def plan_rungs(num_candidates: int, last: int) -> tuple[int, ...]:
    """Plans the rungs: numbers of pictures per class to compare networks on.

    Args:
        num_candidates: Networks in the first rung.
        last: Pictures per class of the last rung: those of the largest class,
            or the limit on them.

    Returns:
        Rising numbers up to `last`, e.g. (5, 20, 300); without 5 for up to four
        candidates, `last` alone for one or two.
    """
    rungs = tuple(each for each in _RUNGS if each < last)
    if num_candidates <= _FEW:
        rungs = tuple(each for each in rungs if each >= PROBE_FROM)
    return (*rungs, last) if num_candidates > FINALISTS else (last,)


def count_survivors(num_candidates: int) -> int:
    """Returns the number of networks that a rung keeps: half, two at least.

    Half is rounded up; a single candidate is kept.
    """
    # -(-n // 2) = ⌈n/2⌉, as in the algorithm.
    return min(num_candidates, max(FINALISTS, -(-num_candidates // 2)))


def compute_mean_ranks(
    criteria: Mapping[str, Sequence[float | None]],
) -> list[float]:
    """Computes the mean rank of each candidate over several criteria.

    Args:
        criteria: Values of all candidates by criterion, in one order of
            candidates, higher is better. A criterion in which some value is
            None does not count; one at least must be complete.

    Returns:
        The mean rank of each candidate, from 1 (best on all criteria); equal
        values share the mean of their ranks.
    """
    # Ranks, not values: log evidence, log loss and percent share no scale. On
    # ten networks fine-tuned on eight data sets, the mean rank of LogME and
    # ImageNet accuracy has the best network among its first two on every set
    # (table of thuml/Transfer-Learning-Library; docs/choosing.md).
    complete = [
        [float(value) for value in values]
        for values in criteria.values()
        if None not in values
    ]
    return np.mean([_rank(values) for values in complete], axis=0).tolist()


def _rank(values: Sequence[float]) -> np.ndarray:
    """Returns ranks from 1, the highest value first, ties shared."""
    array = np.asarray(values)
    above = (array[:, np.newaxis] < array).sum(axis=1)
    equal = (array[:, np.newaxis] == array).sum(axis=1)
    # The mean of the places above+1 … above+equal; a value equals itself.
    return above + (equal + 1) / 2
