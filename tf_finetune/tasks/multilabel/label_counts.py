"""Counts of pictures by split and label."""

import collections
from collections.abc import Iterable, Mapping
from typing import Any

from tf_finetune.data import examples


def count_split(described: Mapping[str, Any], split: str) -> int:
    """Returns the number of pictures of a split that was described."""
    return described["with_labels"][split] + described["without_labels"][split]


def count_labels(
    pictures: Iterable[examples.Picture],
) -> dict[str, collections.Counter]:
    """Counts the pictures of each split that carry each label."""
    counts: dict[str, collections.Counter] = {}
    for picture in pictures:
        counts.setdefault(picture.split, collections.Counter()).update(
            picture.label
        )
    return counts


def describe_labels(data: examples.ImageData) -> dict[str, Any]:
    """Describes the labels of a data set: pictures by split and label.

    Returns:
        `labels` (pictures by split and label), `with_labels` and
        `without_labels` (pictures by split) and `labels_per_picture` (the
        mean by split).
    """
    counts = count_labels(data.pictures)
    # A picture adds to each of its labels, so these may exceed the pictures.
    found: dict[str, Any] = {"labels": {}, "with_labels": {}}
    found |= {"without_labels": {}, "labels_per_picture": {}}
    for split in data.splits:
        its = [len(each.label) for each in data.split(split)]
        found["labels"][split] = {
            name: counts[split][name] for name in data.class_names
        }
        found["with_labels"][split] = sum(each > 0 for each in its)
        found["without_labels"][split] = sum(each == 0 for each in its)
        found["labels_per_picture"][split] = sum(its) / len(its)
    return found
