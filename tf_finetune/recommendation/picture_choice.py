"""Pictures of a rung: the same first ones of each class for every network."""

import collections
import hashlib
from collections.abc import Sequence

from tf_finetune.data import examples


def order_pictures(
    pictures: Sequence[examples.Picture], *, seed: int
) -> list[examples.Picture]:
    """Returns pictures in a random order that hangs on their contents alone.

    Of equal files the first is kept: a copy would be its own neighbor.

    Args:
        pictures: Of the training split.
        seed: Of the order.
    """
    first: dict[str, examples.Picture] = {}
    for picture in pictures:
        first.setdefault(picture.sha256, picture)
    return [first[name] for name in sorted(first, key=lambda n: _draw(n, seed))]


def choose_pictures(
    ordered: Sequence[examples.Picture], count: int
) -> list[examples.Picture]:
    """Returns the first `count` pictures of each class, in their order.

    Fewer pictures are always a part of more, so that their features are
    computed once.
    """
    taken: collections.Counter = collections.Counter()
    chosen = []
    for picture in ordered:
        taken[picture.label] += 1
        if taken[picture.label] <= count:
            chosen.append(picture)
    return chosen


def count_largest(pictures: Sequence[examples.Picture]) -> int:
    """Returns the number of pictures of the largest class."""
    return max(collections.Counter(p.label for p in pictures).values())


def hash_pictures(pictures: Sequence[examples.Picture]) -> str:
    """Returns a hexadecimal hash over contents, labels and groups."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(
            f"{picture.sha256}/{picture.label}/{picture.group}\n".encode(
                errors="surrogateescape"
            )
        )
    return digest.hexdigest()[:32]


def _draw(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
