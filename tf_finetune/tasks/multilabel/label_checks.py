"""Checks for labels that cannot be trained or cannot be evaluated."""

import collections
from collections.abc import Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.tasks.multilabel import label_counts

# Cells of a column of 0 and 1, never names of labels.
_MARKS = ("0", "0.0", "1", "1.0", "true", "false")
_LISTED = 20


def check_labels(pictures: Sequence[examples.Picture]) -> None:
    """Checks that pictures carry labels that can be trained.

    Raises:
        DataError: No picture carries a label, or the labels are a column of
            zeros and ones.
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
    """Warns of labels that cannot be trained or cannot be evaluated."""
    counts = label_counts.count_labels(pictures)
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
    """Logs a sentence about some labels, if there are any."""
    if not labels:
        return
    shown = ", ".join(map(repr, labels[:_LISTED]))
    if len(labels) > _LISTED:
        shown += f" and {len(labels) - _LISTED} more"
    logging.warning(one if len(labels) == 1 else many, shown)
