"""Checks for labels that are not classes: quantities, masks, missing values."""

import os
from collections.abc import Mapping, Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names
from tf_finetune.data.folders import ignored_folders

# More classes than this that are fractions are rather a quantity.
_MANY_NUMBERS = 20


def check_quantity(counts: Mapping[str, int]) -> None:
    """Rejects classes that look like the values of a quantity.

    Raises:
        DataError: All are numbers, and so many that single pictures make up
            a class, or two on average.
    """
    numbers = [class_names.parse_number(name) for name in counts]
    if None in numbers:
        return
    # Classes with one picture cannot be split; two on average hardly can.
    lone = sum(count == 1 for count in counts.values())
    fractions = any(each % 1 for each in numbers)
    total = sum(counts.values())
    if lone > len(counts) / 2 or (fractions and total <= 2 * len(counts)):
        raise errors.DataError(
            f"The labels are {len(counts)} different numbers for {total} "
            f"pictures, {lone} of them for a single picture: is this a "
            "quantity? --task=regression learns one; classes need two pictures "
            "each at least."
        )
    if fractions and len(counts) > _MANY_NUMBERS:
        logging.warning(
            "The labels are %d different numbers, each of which becomes a "
            "class. If they are a quantity, --task=regression learns it.",
            len(counts),
        )


def check_masks(counts: Mapping[str, int]) -> None:
    """Rejects labels that are the file names of pictures."""
    suffixes = [os.path.splitext(name)[1][1:].lower() for name in counts]
    if {*suffixes} <= ignored_folders.PICTURE_SUFFIXES:
        raise errors.DataError(
            f"The labels are names of pictures, such as {next(iter(counts))!r}:"
            " are these the masks? --task=segmentation learns them, with their "
            "column as --label_column."
        )


def warn_of_missing(
    names: Sequence[str], options: data_options.DataOptions
) -> None:
    """Warns of folders named like a missing label, such as "nan" or "-"."""
    found = [repr(name) for name in names if class_names.is_missing(name)]
    if found and options.missing_label == "drop":
        logging.warning(
            "%s %s named like a missing label, but %s. If these pictures have "
            "no label, move them elsewhere.",
            f"The {'class' if len(found) == 1 else 'classes'} "
            f"{class_names.join_names(found)}",
            "is" if len(found) == 1 else "are",
            "is trained on" if len(found) == 1 else "are trained on",
        )
