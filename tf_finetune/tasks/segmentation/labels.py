"""Labels of a segmentation: masks with one class per pixel, or ignored."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples
from tf_finetune.data.masks import (
    meanings,
    preparation,
    reading,
    scanning,
    schemes,
)
from tf_finetune.data.tables import locating, records
from tf_finetune.tasks.segmentation import pixels

_DEFAULT_COLUMN = ("mask",)
_LISTED = 10  # Names in a message, at most.
_UNSAID = ("label",)  # The default of --label_column.


@dataclasses.dataclass(frozen=True)
class Masks:
    """Labels that are masks: pictures of classes.

    Attributes:
        options: Which data, and how its masks are interpreted.
        cache_dir: Where masks are kept in the form that training reads.
        scheme: The class of each mask value, once it is known.
    """

    options: data_options.DataOptions = data_options.DataOptions()
    cache_dir: pathlib.Path = pathlib.Path()
    scheme: schemes.Scheme = dataclasses.field(
        default=schemes.UNKNOWN, hash=False
    )

    sources = ("csv", "pairs", "tfds_masks")
    are_columns = False
    if_rows_differ = "keep one of the rows"

    def reading(
        self, options: data_options.DataOptions, cache_dir: pathlib.Path
    ) -> "Masks":
        """Returns labels that are read by these options."""
        return dataclasses.replace(
            self,
            options=options,
            cache_dir=pathlib.Path(cache_dir).expanduser(),
        )

    @property
    def by_color(self) -> bool:
        """Whether the colors of masks are their classes."""
        return self.options.color_map is not None

    def columns(
        self, options: data_options.DataOptions
    ) -> dict[str, tuple[str, ...]]:
        """Returns the column of masks.

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

    def file_columns(
        self, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the column of masks."""
        return self.columns(options)["label_column"]

    def of_table(
        self,
        rows: Sequence[records.Row],
        table: str,
        options: data_options.DataOptions,
    ) -> "Masks":
        """Returns the labels unchanged: masks do not depend on the table."""
        return self

    def joined(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> examples.Listing:
        """Returns the listing unchanged: masks hold no names."""
        return listing

    def of_row(
        self,
        cells: Mapping[str, str],
        where: str,
        files: locating.Locator,
        options: data_options.DataOptions,
    ) -> examples.Mask:
        """Returns the mask that a row names."""
        (column,) = self.columns(options)["label_column"]
        if not cells[column]:
            raise errors.DataError(f"{where} has no mask (column {column!r}).")
        return examples.Mask(path=files.find(cells[column]))

    def learnt(self, described: Mapping[str, Any]) -> "Masks":
        """Returns labels that interpret other masks as a finished run did."""
        names = tuple(described["class_names"])
        indices = {
            int(value): reading.IGNORED if name is None else names.index(name)
            for value, name in described.get("mask_values", {}).items()
        }
        scheme = schemes.Scheme(names=names, indices=indices, is_learnt=True)
        return dataclasses.replace(self, scheme=scheme) if indices else self

    def settled(
        self, declared: Sequence[str], pictures: Sequence[examples.Picture]
    ) -> "Masks":
        """Returns labels that know the class of each mask value."""
        scheme = meanings.find_scheme(
            self.options, self.scheme, declared, self._scans(pictures)
        )
        return dataclasses.replace(self, scheme=scheme)

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the classes, without the ignored one."""
        return self.scheme.names

    def inspected(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.Dropped, ...]]:
        """Checks every mask, and stratifies by the classes of its pixels.

        Pictures of a class that too few pictures show are put into training.

        Raises:
            DataError: A mask does not fit its picture or its classes.
        """
        prepared = preparation.prepare(
            pictures,
            self._scans(pictures),
            self.scheme,
            cache_dir=self.cache_dir,
        )
        divisible = pixels.divisible(prepared)
        return tuple(
            dataclasses.replace(
                each,
                strata=tuple(k for k in pixels.present(each) if k in divisible),
                rare=tuple(
                    k for k in pixels.present(each) if k not in divisible
                ),
            )
            for each in prepared
        ), ()

    def classes(self, label: examples.Mask) -> tuple[str, ...]:
        """Returns nothing: masks are checked before any picture is dropped."""
        return ()

    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that masks show at least two classes."""
        present = {name for each in pictures for name in pixels.present(each)}
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
        """Checks that no split is empty."""
        for split, its_units in divided.items():
            if not its_units:
                raise errors.DataError(
                    f"There are {len(units)} pictures or groups that differ, "
                    f"too few for {', '.join(divided)}; {split} gets none. "
                    "Add pictures, or use --test_fraction=0."
                )

    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Warns of classes that cannot be trained or cannot be evaluated."""
        seen = {
            split: {
                k
                for p in pictures
                if p.split == split
                for k in pixels.present(p)
            }
            for split in examples.SPLITS
        }
        # All prepared masks have the same classes.
        names = pictures[0].label.names if pictures else ()
        never = [n for n in names if all(n not in its for its in seen.values())]
        if never:
            logging.warning(
                "%d of %d classes %s that is not trained and enters no "
                "average: %s.",
                len(never),
                len(names),
                "is in no mask; the model has an output for it"
                if len(never) == 1
                else "are in no mask; the model has an output for each",
                _listed(never),
            )
        for split in ("validation", "test"):
            if unlearnt := sorted(seen[split] - seen["train"]):
                logging.warning(
                    "Masks of the %s split show classes that no training mask "
                    "shows; these are not trained and have an IoU of 0: %s.",
                    split,
                    _listed(unlearnt),
                )
            lacking = sorted(seen["train"] - seen[split])
            if seen[split] and lacking:
                logging.warning(
                    "No mask of the %s split shows: %s.",
                    split,
                    _listed(lacking),
                )

    def text(self, label: examples.Mask) -> str:
        """Returns the mask's hash and how its values are interpreted."""
        # The folder of a prepared mask is named after the scheme.
        scheme = os.path.basename(os.path.dirname(label.indices))
        return f"mask {label.sha256} {scheme}"

    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Describes the masks: by split and class, pixels and pictures.

        `pixels` counts the pixels of a class, `pictures` the pictures with
        such pixels, `pixels_there` all pixels of these pictures, from which the
        median frequency is computed. `mask_values` names the class of each
        value in the masks; null: ignored.
        """
        return {
            "mask_values": pixels.values(data.pictures),
            "masks": {
                split: pixels.describe(data.split(split), data.class_names)
                for split in data.splits
            },
        }

    def _scans(
        self, pictures: Sequence[examples.Picture]
    ) -> list[scanning.Scan]:
        return scanning.scan(
            [picture.label.path for picture in pictures],
            cache_dir=self.cache_dir,
            by_color=self.by_color,
        )


LABELS = Masks()


def _listed(names: Sequence[str]) -> str:
    """Lists names, at most ten of them."""
    more = len(names) - _LISTED
    rest = f" and {more} more" if more > 0 else ""
    return ", ".join(names[:_LISTED]) + rest
