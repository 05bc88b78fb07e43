"""Classes: each picture belongs to exactly one."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples
from tf_finetune.data.folders import telling


class Classes:
    """Labels that are the name of a class, as the user wrote it."""

    sources = ("csv", "digits", "folder", "tfds")
    are_columns = False

    def reading(
        self, options: data_options.DataOptions, cache_dir: pathlib.Path
    ) -> "Classes":
        """Returns the same: a class needs nothing of the options."""
        return self

    def columns(
        self, options: data_options.DataOptions
    ) -> dict[str, tuple[str, ...]]:
        """Returns the one column of classes.

        Raises:
            UsageError: --label_column names several.
        """
        if len(options.label_column) != 1:
            raise errors.UsageError(
                "--label_column names one column of classes for "
                f"--task=classification, got {', '.join(options.label_column)}."
            )
        return {"label_column": options.label_column}

    def of_row(
        self,
        cells: Mapping[str, str],
        where: str,
        beside: pathlib.Path,
        options: data_options.DataOptions,
    ) -> str:
        """Returns the class."""
        (column,) = options.label_column
        if not cells[column]:
            raise errors.DataError(f"{where} has no label (column {column!r}).")
        return cells[column]

    def learnt(self, described: Mapping[str, Any]) -> "Classes":
        """Returns the same: labels say in words what they are."""
        return self

    def settled(
        self, declared: Sequence[str], pictures: Sequence[examples.Picture]
    ) -> "Classes":
        """Returns the same: each label says all there is to know of it."""
        return self

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the classes with examples; warns of those without."""
        present = {example.label for example in listing.examples}
        declared = listing.class_names or class_names.ordered(present)
        class_names.check(declared)
        if absent := [repr(name) for name in declared if name not in present]:
            logging.warning(
                "Classes without a picture are left out: %s.",
                telling.listed(absent),
            )
        return tuple(name for name in declared if name in present)

    def inspected(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.Dropped, ...]]:
        """Gives every split its share of every class."""
        return tuple(
            dataclasses.replace(each, strata=(each.label,)) for each in pictures
        ), ()

    def classes(self, label: str) -> tuple[str, ...]:
        """Returns the class."""
        return (label,)

    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Makes sure that there are two classes of two pictures."""
        counts = collections.Counter(picture.label for picture in pictures)
        if len(counts) == 1:
            raise errors.DataError(
                f"The data holds a single class, {pictures[0].label!r}; a "
                "classifier needs at least two."
            )
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
        """Makes sure that each class is in each of the splits just drawn."""
        for label in sorted({p.label for unit in units for p in unit}):
            mine = [u for u in units if any(p.label == label for p in u)]
            for split, its_units in divided.items():
                if any(p.label == label for unit in its_units for p in unit):
                    continue
                count = sum(p.label == label for unit in mine for p in unit)
                raise errors.DataError(
                    f"The class {label!r} cannot be divided into "
                    f"{', '.join(divided)}: of its {count} pictures there are "
                    f"{len(mine)} that differ and are of different groups, and "
                    f"{split} gets none. Add pictures, remove the class, bring "
                    "your own splits, or (without test) use --test_fraction=0."
                )

    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Makes sure that what is held out was learnt."""
        classes = {
            split: {p.label for p in pictures if p.split == split}
            for split in examples.SPLITS
        }
        for split in ("validation", "test"):
            if unlearnt := sorted(classes[split] - classes["train"]):
                raise errors.DataError(
                    f"The class {unlearnt[0]!r} has {split} pictures but no "
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
        """Returns the class."""
        return label

    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Returns `classes`, the pictures by split and class."""
        return {"classes": {s: _counts(data, s) for s in data.splits}}


LABELS = Classes()


def _counts(data: examples.ImageData, split: str) -> dict[str, int]:
    counts = collections.Counter(p.label for p in data.split(split))
    return {name: counts[name] for name in data.class_names}
