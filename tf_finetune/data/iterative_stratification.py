"""Iterative stratification of units that have several keys each."""

from collections.abc import Sequence

import numpy as np


def assign_parts(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Assigns units to parts so that each part gets its share of every key.

    The key that is left in the fewest units comes first; each of its units
    goes to the part that lacks this key most, of those to the one that lacks
    most units.

    Args:
        counts: [units, keys], how often a unit holds each key; equal needs
            are met in the order of the units.
        shares: [parts], of the whole; they sum to 1.

    Returns:
        [units] numbers of parts.

    Source: Sechidis et al. 2011, "On the Stratification of Multi-Label Data",
    algorithm 1.
    """
    counts = np.asarray(counts, "float64")
    shares = np.asarray(shares, "float64")
    # Sechidis et al., algorithm 1: c_j^i, desired examples of label i in subset
    # j, and c_j, desired examples of subset j.
    needs = np.outer(shares, counts.sum(axis=0))
    room = shares * len(counts)
    parts = np.full(len(counts), -1)
    holds = counts > 0
    while len(left := np.flatnonzero(parts < 0)):
        carriers = holds[left].sum(axis=0)
        if not carriers.any():
            break
        # The rarest key first: later it could no longer be divided as wanted.
        key = int(np.argmin(np.where(carriers > 0, carriers, np.inf)))
        for unit in left[holds[left, key]]:
            part = _find_neediest(needs[:, key], room)
            parts[unit] = part
            needs[part] -= counts[unit]
            room[part] -= 1
    # Units without any key fill the parts up to their share of units.
    for unit in np.flatnonzero(parts < 0):
        parts[unit] = np.argmax(room)
        room[parts[unit]] -= 1
    return parts


def _find_neediest(needs: np.ndarray, room: np.ndarray) -> int:
    # 1e-9: sums of shares differ by rounding where needs are equal.
    tied = np.flatnonzero(needs >= needs.max() - 1e-9)
    return int(tied[np.argmax(room[tied])])
