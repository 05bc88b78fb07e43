"""Masks: each pixel belongs to exactly one class, or is ignored."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples
from tf_finetune.data.masks import legends, preparation, scanning, schemes

_DEFAULT_COLUMN = ("mask",)
_UNSAID = ("label",)  # What --label_column is if nobody gave it.


@dataclasses.dataclass(frozen=True)
class Masks:
    """Labels that are a picture of classes each.

    Attributes:
        options: Which data, and how its masks are understood.
        cache_dir: Where masks are kept in the form that training reads.
    """

    options: data_options.DataOptions = data_options.DataOptions()
    cache_dir: pathlib.Path = pathlib.Path()

    sources = ("csv", "pairs", "tfds_masks")
    are_columns = False

    def reading(
        self, options: data_options.DataOptions, cache_dir: pathlib.Path
    ) -> "Masks":
        """Returns labels that are read so."""
        return Masks(options, pathlib.Path(cache_dir).expanduser())

    def columns(
        self, options: data_options.DataOptions
    ) -> dict[str, tuple[str, ...]]:
        """Returns the one column of masks.

        Raises:
            UsageError: --label_column names several.
        """
        columns = options.label_column
        if len(columns) != 1:
            raise errors.UsageError(
                "--label_column names one column of masks for "
                f"--task=segmentation, got {', '.join(columns)}."
            )
        return {
            "label_column": _DEFAULT_COLUMN if columns == _UNSAID else columns
        }

    def of_row(
        self,
        cells: Mapping[str, str],
        where: str,
        beside: pathlib.Path,
        options: data_options.DataOptions,
    ) -> examples.Mask:
        """Returns the mask that a row names."""
        (column,) = self.columns(options)["label_column"]
        if not cells[column]:
            raise errors.DataError(f"{where} has no mask (column {column!r}).")
        return examples.Mask(path=os.path.join(beside, cells[column]))

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the classes, without the ignored one."""
        paths = [example.label.path for example in listing.examples]
        declared = listing.class_names or self._beside()
        return self._scheme(declared, self._scans(paths)).names

    def inspected(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.Dropped, ...]]:
        """Checks every mask and gives every split its share of every class.

        Raises:
            DataError: A mask does not fit its picture or its classes.
        """
        found = self._scans([picture.label.path for picture in pictures])
        scheme = self._scheme(self._beside(), found)
        prepared = preparation.prepare(
            pictures, found, scheme, cache_dir=self.cache_dir
        )
        return tuple(
            dataclasses.replace(each, strata=_present(each.label.pixels, names))
            for each in prepared
        ), ()

    def classes(self, label: examples.Mask) -> tuple[str, ...]:
        """Returns none: masks are checked before any picture is dropped."""
        return ()

    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Makes sure that there are two classes to be told apart."""
        present = {name for each in pictures for name in each.strata}
        if len(present) < 2:
            only = f" but {next(iter(present))!r}" if present else ""
            raise errors.DataError(
                f"No pixel is of any class{only}; masks must show at least "
                "two classes."
            )

    def check_drawn(
        self,
        units: Sequence[Sequence[examples.Picture]],
        divided: Mapping[str, Sequence[Sequence[examples.Picture]]],
    ) -> None:
        """Does nothing: what a split lacks is said when all are known."""

    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Makes sure that what is held out was learnt."""
        seen = {
            split: {s for p in pictures if p.split == split for s in p.strata}
            for split in examples.SPLITS
        }
        for split in ("validation", "test"):
            if unlearnt := sorted(seen[split] - seen["train"]):
                raise errors.DataError(
                    f"Masks of {split} pictures show {unlearnt[0]!r}, those of "
                    "training pictures do not; add some, or leave the class "
                    "out with --ignore_label."
                )
            lacking = sorted(seen["train"] - seen[split])
            if seen[split] and lacking:
                logging.warning(
                    "No mask of the %s split shows: %s.",
                    split,
                    ", ".join(lacking),
                )

    def text(self, label: examples.Mask) -> str:
        """Returns what decides the class of every pixel."""
        scheme = os.path.basename(os.path.dirname(label.indices))
        return f"mask {label.sha256} {scheme}"

    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Returns, by split and class, pixels and pictures, and the ignored.

        `pixels` are how many are of a class, `pictures` in how many pictures
        it is, `pixels_there` how many pixels these pictures have, which the
        median frequency is computed from.
        """
        return {
            "masks": {
                split: _described(data.split(split), data.class_names)
                for split in data.splits
            }
        }

    def _scans(self, paths: Sequence[str]) -> list[scanning.Scan]:
        return scanning.scan(
            paths,
            cache_dir=self.cache_dir,
            by_color=self.options.color_map is not None,
        )

    def _beside(self) -> tuple[str, ...]:
        place = pathlib.Path(self.options.data).expanduser()
        folder = place if place.is_dir() else place.parent
        return legends.names_beside(folder) if place.exists() else ()

    def _scheme(
        self, declared: Sequence[str], scans: Sequence[scanning.Scan]
    ) -> schemes.Scheme:
        ignore = self.options.ignore_label
        if self.options.color_map is not None:
            path = pathlib.Path(self.options.color_map).expanduser()
            return schemes.by_color(legends.colors(path), ignore)
        values = {value for each in scans for value in each.pixels}
        return schemes.by_number(declared, ignore, values)


LABELS = Masks()


def _present(pixels: Sequence[int], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        name for name, count in zip(names, pixels, strict=False) if count
    )


def _described(
    pictures: Sequence[examples.Picture], names: Sequence[str]
) -> dict[str, Any]:
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
