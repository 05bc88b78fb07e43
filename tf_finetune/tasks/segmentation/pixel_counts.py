"""Pixel counts of masks by class."""

import collections
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_finetune.data import examples, stratified_split
from tf_finetune.data.masks import mask_files

# Pictures that a class needs for each of train, validation and test to get one.
_DIVISIBLE = 3


def list_classes(picture: examples.Picture) -> tuple[str, ...]:
    """Lists the classes with a pixel in a picture's prepared mask, by index."""
    mask = picture.label
    return tuple(
        name
        for name, count in zip(mask.names, mask.pixels[:-1], strict=True)
        if count
    )


def find_divisible_classes(pictures: Sequence[examples.Picture]) -> set[str]:
    """Finds the classes that enough pictures show to divide them into splits.

    Copies of a picture and groups count once; pictures that the data assigns to
    validation or test do not count.
    """
    # In units of copies and groups, which are never divided; pictures that the
    # data assigns to validation or test are not drawn from.
    drawn = [each for each in pictures if each.split in (None, "train")]
    units = stratified_split.join_units(drawn)
    counts = collections.Counter(
        name
        for unit in units
        for name in {k for p in unit for k in list_classes(p)}
    )
    least = min(_DIVISIBLE, len(units))
    return {name for name, count in counts.items() if count >= least}


def list_mask_values(
    pictures: Sequence[examples.Picture],
) -> dict[str, str | None]:
    """Maps each value in the user's mask files to its class.

    Returns:
        Value as text → class name, None: ignored; empty if no mask has
        `Mask.values`.
    """
    # The mapping is the same for a whole data set: the first mask tells it.
    given = (each.label for each in pictures if each.label.values)
    return {
        str(value): None
        if index == mask_files.IGNORED_INDEX
        else mask.names[index]
        for mask in itertools.islice(given, 1)
        for value, index in mask.values
    }


def describe_masks(
    pictures: Sequence[examples.Picture], names: Sequence[str]
) -> dict[str, Any]:
    """Counts pixels and pictures by class for data.json.

    Args:
        pictures: At least one, with prepared masks.
        names: Names of the classes.

    Returns:
        `pixels` (class → pixels), `pictures` (class → pictures that show it),
        `pixels_there` (class → all pixels of these pictures that are not
        ignored) and `ignored_pixels`, a number.
    """
    # The last column of a mask's counts is of ignored pixels.
    counts = np.array([picture.label.pixels for picture in pictures], "int64")
    of_classes = counts[:, :-1]
    sizes = of_classes.sum(axis=1)
    shown = of_classes > 0
    columns = {
        "pixels": of_classes.sum(axis=0),
        "pictures": shown.sum(axis=0),
        "pixels_there": (shown * sizes[:, None]).sum(axis=0),
    }
    return {
        **{
            key: dict(zip(names, values.tolist(), strict=True))
            for key, values in columns.items()
        },
        "ignored_pixels": int(counts[:, -1].sum()),
    }
