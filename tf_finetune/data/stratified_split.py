"""Stratified division of pictures into splits, groups kept together."""

import collections
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from tf_finetune.data import examples

Unit = tuple[examples.Picture, ...]
"""Pictures that must not be divided between splits."""


def join_units(pictures: Sequence[examples.Picture]) -> list[Unit]:
    """Joins pictures of one group, and pictures of equal bytes, into units.

    Args:
        pictures: In any order.

    Returns:
        Units: the connected components, which must stay in one split. A picture
        without group and copy is a unit of its own. Contents of units depend
        neither on the order nor on paths.
    """
    # Union-find over two kinds of nodes: ("group", name), ("sha256", hash).
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(node, node) != node:
            # Path halving keeps the trees flat.
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for picture in pictures:
        if picture.group is not None:
            parent[root(("group", picture.group))] = root(
                _content_node(picture)
            )
    members = collections.defaultdict(list)
    for picture in pictures:
        members[root(_content_node(picture))].append(picture)
    return [tuple(unit) for unit in members.values()]


def shuffle_units(
    found: Iterable[Unit], *, seed: int, purpose: str
) -> list[Unit]:
    """Shuffles units; their contents and `seed` alone decide the order.

    Paths and the order of `found` play no part, and further pictures do not
    change the order of the present ones.

    Args:
        found: The units: sets of pictures that stay in one split.
        seed: Another seed gives another order.
        purpose: Name of the draw, such as "split"; draws of one seed for
            different purposes are independent.

    Returns:
        A new list of all units.
    """

    def position(unit: Unit) -> bytes:
        # Sorting by a hash of each unit draws an order in which a further
        # unit moves none of the others.
        content = min(picture.sha256 for picture in unit)
        return hashlib.sha256(f"{seed} {purpose} {content}".encode()).digest()

    return sorted(found, key=position)


def divide_units(
    found: Sequence[Unit], fractions: Mapping[str, float], *, seed: int
) -> dict[str, list[Unit]]:
    """Divides units so that each split gets its share of every stratum.

    A unit is a set of pictures that stay together, a stratum a class or another
    group of like pictures. Units with rare strata go to training, as far as
    training has room. Of the others every stratum first gets one in every
    split; then each unit, the largest first, goes where its strata are missing
    most. Units of one picture come out at exactly `compute_quotas` where
    nothing is rare.

    Args:
        found: The units.
        fractions: Share of all pictures by split, 0..1; without "train", which
            gets the rest.
        seed: Seed of the draw.

    Returns:
        The units of each split, "train" included. A stratum of fewer units than
        splits is missing somewhere.

    Source: for pictures of several strata, Sechidis et al. 2011, "On the
    Stratification of Multi-label Data", algorithm 1.
    """
    # `needs` holds the pictures that each split still lacks of each stratum;
    # negative where it has too many.
    needs = compute_quotas(found, fractions)
    order = shuffle_units(found, seed=seed, purpose="split")
    divided: dict[str, list[Unit]] = {split: [] for split in needs}
    # Largest first: small units at the end even out the remainders.
    left = dict(enumerate(sorted(order, key=len, reverse=True)))
    for index in _pick_rare(left, fractions):
        _assign_unit(left.pop(index), "train", divided, needs)
    learned = {
        name for unit in divided["train"] for name in _iterate_strata(unit)
    }
    for index, split in _pick_first_units(left, list(needs), learned):
        _assign_unit(left.pop(index), split, divided, needs)
    for unit in left.values():
        strata = list(_iterate_strata(unit))
        # Sechidis et al., algorithm 1: the subset with the greatest need.
        split = max(needs, key=lambda s: sum(needs[s][k] for k in strata))
        _assign_unit(unit, split, divided, needs)
    return divided


def compute_quotas(
    found: Sequence[Unit], fractions: Mapping[str, float]
) -> dict[str, collections.Counter]:
    """Computes how many pictures of each stratum each split should get.

    A stratum is a class, or another group of like pictures.

    A split's share of a stratum is rounded up or down so that the sum over the
    strata is the share of all of them (largest remainder method), but is at
    least 1.

    Args:
        found: The units: sets of pictures that stay in one split.
        fractions: Share of all pictures by split, 0..1; without "train".

    Returns:
        Number of pictures by split and stratum, {"train": {stratum: number},
        …}; "train" gets the rest.
    """
    counts = collections.Counter(
        s for unit in found for s in _iterate_strata(unit)
    )
    rest = collections.Counter(counts)
    drawn = {}
    for split, fraction in fractions.items():
        exact = {name: fraction * n for name, n in counts.items()}
        share = {name: math.floor(x) for name, x in exact.items()}
        open_places = round(sum(exact.values())) - sum(share.values())
        # Largest remainder method: the places left after rounding down go
        # to the strata that lost most by it.
        remainders = sorted(exact, key=lambda k: (share[k] - exact[k], k))
        for name in remainders[:open_places]:
            share[name] += 1
        drawn[split] = collections.Counter(
            {name: max(1, n) for name, n in share.items()}
        )
        rest.subtract(drawn[split])
    return {"train": rest, **drawn}


def _iterate_strata(unit: Unit) -> Iterator[str]:
    """Yields the strata of a unit's pictures, each as often as it occurs."""
    for picture in unit:
        yield from picture.strata


def assign_parts(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Assigns units to parts so that each part gets its share of every key.

    The key that is left in the fewest units comes first; each of its units goes
    to the part that lacks this key most, of those to the one that lacks most
    units.

    Args:
        counts: [units, keys], how often a unit holds each key (such as a
            label); equal needs are met in the order of the units.
        shares: [parts], each part's share of the whole; they sum to 1.

    Returns:
        Integers [units], the number of each unit's part, from 0.

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


def _content_node(picture: examples.Picture) -> tuple[str, str]:
    return "sha256", picture.sha256


def _assign_unit(
    unit: Unit,
    split: str,
    divided: dict[str, list[Unit]],
    needs: dict[str, collections.Counter],
) -> None:
    divided[split].append(unit)
    needs[split].subtract(_iterate_strata(unit))


def _pick_rare(
    left: Mapping[int, Unit], fractions: Mapping[str, float]
) -> list[int]:
    """Picks units with rare labels for training, new labels first.

    Returns:
        Their numbers; never more pictures than training has places for.
    """
    rare = {i: {n for p in u for n in p.rare_strata} for i, u in left.items()}
    total = sum(len(unit) for unit in left.values())
    # Each held-out split has a picture at least.
    places = total - sum(max(1, round(f * total)) for f in fractions.values())
    seen: set[str] = set()
    new, others = [], []
    for index, names in rare.items():
        if names:
            (new if names - seen else others).append(index)
        seen |= names
    given = []
    for index in new + others:
        if len(left[index]) <= places:
            places -= len(left[index])
            given.append(index)
    return given


def _pick_first_units(
    left: Mapping[int, Unit], splits: Sequence[str], learned: Collection[str]
) -> list[tuple[int, str]]:
    """Picks a first unit of each stratum for each split.

    Small units go to the small splits.

    Args:
        left: The units by number, the largest first.
        splits: Where they go; train first.
        learned: Strata that train has a unit of.

    Returns:
        (number of the unit, split), each unit at most once.
    """
    by_stratum = collections.defaultdict(list)
    for index, unit in left.items():
        for name in set(_iterate_strata(unit)):
            by_stratum[name].append(index)
    given: dict[int, str] = {}
    # Rare strata choose first: they have the fewest units to choose from.
    rare_first = sorted(by_stratum, key=lambda k: (len(by_stratum[k]), k))
    for name in rare_first:
        present = {given[i] for i in by_stratum[name] if i in given}
        present |= {"train"} if name in learned else set()
        free = [i for i in by_stratum[name] if i not in given]
        for split in reversed(splits):
            if split not in present and free:
                # `free` ends with its smallest unit; train, which comes last
                # here, can best bear a large one.
                given[free.pop()] = split
    return list(given.items())


def _find_neediest(needs: np.ndarray, room: np.ndarray) -> int:
    # 1e-9: sums of shares differ by rounding where needs are equal.
    tied = np.flatnonzero(needs >= needs.max() - 1e-9)
    return int(tied[np.argmax(room[tied])])
