"""Counts of pictures by split and label."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from tf_finetune import errors
from tf_finetune.data import examples

# Cells of a column of 0 and 1, never names of labels.
_MARKS = ("0", "0.0", "1", "1.0", "true", "false")
_LISTED = 20


def count_split(described: Mapping[str, Any], split: str) -> int:
    """Returns the number of pictures of a split.

    Args:
        described: Contents of data.json, see `describe_labels`.
        split: Name of the split.
    """
    return described["with_labels"][split] + described["without_labels"][split]


def count_labels(
    pictures: Iterable[examples.Picture],
) -> dict[str, collections.Counter]:
    """Counts the pictures of each split that carry each label.

    Returns:
        Split → label → number of pictures; splits without pictures are absent.
    """
    counts: dict[str, collections.Counter] = {}
    for picture in pictures:
        counts.setdefault(picture.split, collections.Counter()).update(
            picture.label
        )
    return counts


def describe_labels(data: examples.ImageData) -> dict[str, Any]:
    """Describes the labels of a data set for data.json.

    Returns:
        `labels` (split → label → pictures), `with_labels` and
        `without_labels` (split → pictures) and `labels_per_picture` (split →
        mean).
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


def build_matrix(
    pictures: Sequence[examples.Picture], names: Sequence[str]
) -> np.ndarray:
    """Encodes labels as float32 [n, labels], 1 where a picture carries one.

    Args:
        pictures: n pictures, whose labels are all among `names`.
        names: Names of the labels, in the order of the columns.
    """
    index = {name: place for place, name in enumerate(names)}
    found = np.zeros([len(pictures), len(names)], "float32")
    for row, picture in zip(found, pictures, strict=True):
        row[[index[name] for name in picture.label]] = 1.0
    return found


def check_labels(pictures: Sequence[examples.Picture]) -> None:
    """Checks that pictures carry labels that can be learned.

    Raises:
        DataError: No picture carries a label, or all labels are marks such
            as 0 and 1.
    """
    present = {name for each in pictures for name in each.label}
    if not present:
        raise errors.DataError(
            "No picture carries a label, so there is nothing to learn. "
            "--label_column names the column of labels (a|b|c), or one "
            "column of 0 and 1 for each label: --label_column=a,b,c."
        )
    # One column of marks given as if it held names.
    if {name.lower() for name in present} <= {*_MARKS}:
        raise errors.DataError(
            f"The label column holds {', '.join(sorted(present))} instead "
            "of names. For columns of 0 and 1 name them all: "
            "--label_column=a,b,c. To tell two classes apart use "
            "--task=classification."
        )


def warn_of_unusable_labels(pictures: Sequence[examples.Picture]) -> None:
    """Logs a warning about labels that cannot be learned or evaluated.

    Those are labels that no training picture or every one carries, and labels
    that no picture of another split carries.
    """
    counts = count_labels(pictures)
    total = sum(each.split == "train" for each in pictures)
    every = sorted({name for count in counts.values() for name in count})
    train = counts.get("train", collections.Counter())
    warn_of_labels(
        "No training picture carries the label %s; it is not learned.",
        "No training picture carries any of the labels %s; they are not "
        "learned.",
        [name for name in every if not train[name]],
    )
    warn_of_labels(
        "Every training picture carries the label %s; the model always "
        "gives it.",
        "Every training picture carries the labels %s; the model always "
        "gives them.",
        [name for name in every if train[name] == total],
    )
    for split in counts.keys() - {"train"}:
        lacking = [name for name in every if not counts[split][name]]
        one = f"No {split} picture carries the label %s."
        many = f"No {split} picture carries any of the labels %s."
        warn_of_labels(one, many, lacking)


def warn_of_labels(one: str, many: str, labels: Sequence[str]) -> None:
    """Logs a warning that lists labels; nothing if there are none.

    Args:
        one: Sentence for a single label, with `%s` in its place.
        many: Sentence for several labels, likewise.
        labels: Names; at most twenty are listed.
    """
    if not labels:
        return
    shown = ", ".join(map(repr, labels[:_LISTED]))
    if len(labels) > _LISTED:
        shown += f" and {len(labels) - _LISTED} more"
    logging.warning(one if len(labels) == 1 else many, shown)
