"""Pictures of a rung: the same first ones of each class for every network."""

import collections
import hashlib
from collections.abc import Sequence

from tf_finetune.data import examples


def order_pictures(
    pictures: Sequence[examples.Picture], *, seed: int
) -> list[examples.Picture]:
    """Shuffles pictures in an order that depends on contents and seed alone.

    Args:
        pictures: Pictures of the training split, in any order.
        seed: Seed of the order.

    Returns:
        A new list. Of files with equal bytes the first is kept: a copy would be
        the nearest neighbor of its original.
    """
    # Sorted by hash(seed, content): a picture that is added or removed moves no
    # other one, and renamed files keep their place.
    first: dict[str, examples.Picture] = {}
    for picture in pictures:
        first.setdefault(picture.sha256, picture)
    return [first[name] for name in sorted(first, key=lambda n: _draw(n, seed))]


def choose_pictures(
    ordered: Sequence[examples.Picture], count: int
) -> list[examples.Picture]:
    """Returns the first `count` pictures of each class, or all of a small one.

    A smaller `count` gives a subset of a larger one's pictures, so that
    features are computed once.

    Args:
        ordered: Pictures from `order_pictures`; their order is kept.
        count: Largest number of pictures per class.
    """
    taken: collections.Counter = collections.Counter()
    chosen = []
    for picture in ordered:
        taken[picture.label] += 1
        if taken[picture.label] <= count:
            chosen.append(picture)
    return chosen


def count_largest(pictures: Sequence[examples.Picture]) -> int:
    """Returns how many of the pictures the most frequent class has."""
    return max(collections.Counter(p.label for p in pictures).values())


def hash_pictures(pictures: Sequence[examples.Picture]) -> str:
    """Hashes contents, labels and groups of pictures, in their order.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for picture in pictures:
        # surrogateescape: labels and groups need not be valid UTF-8.
        digest.update(
            f"{picture.sha256}/{picture.label}/{picture.group}\n".encode(
                errors="surrogateescape"
            )
        )
    return digest.hexdigest()[:32]


def _draw(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
