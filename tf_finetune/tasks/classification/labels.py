"""Labels of a classifier: each picture belongs to exactly one class."""

import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples, label_protocol
from tf_finetune.data.folders import ignored_folders
from tf_finetune.data.tables import cell_words, file_locator, table_rows
from tf_finetune.tasks.classification import marked_columns

# More classes than this that are fractions are rather a quantity.
_MANY_NUMBERS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classes(label_protocol.NamedLabels):
    """Labels of a classifier: how one class name per picture is handled.

    Attributes:
        kept: Classes of an earlier run that stay, with or without pictures.
    """

    sources = ("csv", "digits", "folder", "tfds")
    kept: tuple[str, ...] = ()

    def configure_for_table(
        self,
        rows: Sequence[table_rows.Row],
        table: str,
        options: data_options.DataOptions,
    ) -> "Classes":
        """Logs a warning about `rows` whose class is a word for "missing".

        Does so if they are dropped (`--missing_label`). Returns itself.
        """
        if len(options.label_column) == 1 and options.missing_label == "drop":
            cell_words.warn_of_missing(rows, options.label_column[0], table)
        return self

    def read_row(
        self,
        cells: Mapping[str, str],
        where: str,
        files: file_locator.Locator,
        options: data_options.DataOptions,
    ) -> str | None:
        """Reads the class of a row; None to drop it (`--missing_label=drop`).

        Of several label columns exactly one must be marked (1): the class.
        `where` names the row in messages; `files` is not used.

        Raises:
            DataError: A cell is empty, or not exactly one is marked.
        """
        # Several columns: one of 0 and 1 for each class, exactly one marked.
        if len(options.label_column) > 1:
            return marked_columns.find_class(cells, where, options.label_column)
        (column,) = options.label_column
        if not cells[column]:
            raise errors.DataError(f"{where} has no label (column {column!r}).")
        if options.missing_label == "drop" and class_names.is_missing(
            cells[column]
        ):
            return None
        return cells[column]

    def list_names(self, label: str) -> tuple[str, ...]:
        """Returns the class name as a tuple of one."""
        return (label,)

    def respell(self, label: str, spelled: Mapping[str, str]) -> str:
        """Returns `spelled[label]`, or the label itself if absent there."""
        return spelled.get(label, label)

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the classes that have examples, then the other `kept` ones.

        Warns of others, which are left out, and of names such as "nan".
        """
        present = {example.label for example in listing.examples}
        # As TFDS does, a source may name its classes in its own order.
        declared = listing.class_names or class_names.sort_names(present)
        added = tuple(name for name in self.kept if name not in present)
        class_names.check(dict.fromkeys([*declared, *added]))
        warn_of_missing(declared, options)
        if left := [e for e in declared if e not in {*present, *added}]:
            logging.warning(
                "Classes without a picture are left out: %s.",
                class_names.join_names([repr(name) for name in left]),
            )
        return (*(name for name in declared if name in present), *added)

    def add_strata(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
        """Returns copies of pictures, their class as stratum; drops none.

        Every split then gets its share of each class.
        """
        return tuple(
            dataclasses.replace(each, strata=(each.label,)) for each in pictures
        ), ()

    def list_classes(self, label: str) -> tuple[str, ...]:
        """Returns the class name as a tuple of one."""
        return (label,)

    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that there are two classes of two pictures each at least.

        Raises:
            DataError: There are fewer, or names look like numbers or files.
        """
        counts = collections.Counter(picture.label for picture in pictures)
        if len({*counts, *self.kept}) == 1:
            raise errors.DataError(
                f"The data holds a single class, {pictures[0].label!r}; a "
                "classifier needs at least two."
            )
        # Before the check of single classes, which would report a symptom.
        check_quantity(counts)
        check_masks(counts)
        for label, count in sorted(counts.items()):
            if count == 1:
                raise errors.DataError(
                    f"The class {label!r} has one usable picture; it needs at "
                    "least two, one to train on and one to check with. Add "
                    "pictures or remove the class."
                )

    def check_drawn(
        self,
        units: Sequence[Sequence[examples.Picture]],
        divided: Mapping[str, Sequence[Sequence[examples.Picture]]],
    ) -> None:
        """Checks that every class is in each of the splits just drawn.

        `units` are sets of pictures that stay in one split, as copies do.

        Raises:
            DataError: A split has no picture of a class.
        """
        present = {
            split: {p.label for unit in its_units for p in unit}
            for split, its_units in divided.items()
        }
        for label in sorted({p.label for unit in units for p in unit}):
            for split in divided:
                if label in present[split]:
                    continue
                # Units cannot be divided: copies of a picture, and groups.
                mine = [u for u in units if any(p.label == label for p in u)]
                count = sum(p.label == label for unit in mine for p in unit)
                is_grouped = any(p.group for unit in mine for p in unit)
                hint = (
                    " --group_column=none leaves groups aside."
                    if is_grouped
                    else ""
                )
                # Helps where a unit is there for each of the other splits.
                if "test" in divided and len(mine) >= len(divided) - 1:
                    hint = f" Or do without test: --test_fraction=0.{hint}"
                raise errors.DataError(
                    f"The class {label!r} cannot be divided into "
                    f"{', '.join(divided)}: its {count} pictures, with copies "
                    f"and groups counted once, are {len(mine)}, and {split} "
                    "gets none. Add pictures, remove the class, or bring "
                    f"your own splits.{hint}"
                )

    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that all classes of validation and test are trained on.

        Logs a warning about classes that validation or test lacks.

        Raises:
            DataError: A class has no training pictures.
        """
        classes = {
            split: {p.label for p in pictures if p.split == split}
            for split in examples.SPLITS
        }
        for split in ("validation", "test"):
            if unlearned := sorted(classes[split] - classes["train"]):
                raise errors.DataError(
                    f"The class {unlearned[0]!r} has {split} pictures but no "
                    "training pictures; add some or remove the class."
                )
            lacking = sorted(classes["train"] - classes[split])
            if classes[split] and lacking:
                logging.warning(
                    "The %s split has no picture of: %s.",
                    split,
                    ", ".join(lacking),
                )

    def text(self, label: str) -> str:
        """Returns the name of the class."""
        return label

    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Returns `{"classes": {split: {class: number of pictures}}}`."""
        return {"classes": {s: _count_classes(data, s) for s in data.splits}}


LABELS = Classes()


def _count_classes(data: examples.ImageData, split: str) -> dict[str, int]:
    counts = collections.Counter(p.label for p in data.split(split))
    return {name: counts[name] for name in data.class_names}


def check_quantity(counts: Mapping[str, int]) -> None:
    """Rejects class names that look like the values of a quantity.

    Logs a warning for more than 20 numbers that include fractions.

    Args:
        counts: By class, its number of pictures.

    Raises:
        DataError: All names are numbers, and most have a single picture, or
            some are fractions and there are at most two pictures per class.
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
    """Raises `DataError` if all classes (keys) are names of picture files."""
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
    """Logs a warning about class names that mean "missing", such as "nan".

    With `--missing_label=keep` nothing is logged.
    """
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
