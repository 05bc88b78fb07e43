"""Labels of a segmentation: masks with one class per pixel, or ignored."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, label_protocol
from tf_finetune.data.masks import (
    mask_files,
    mask_preparation,
    mask_scan,
    mask_values,
    value_map_choice,
)
from tf_finetune.data.tables import file_locator
from tf_finetune.tasks.segmentation import pixel_counts

_DEFAULT_COLUMN = ("mask",)
_LISTED = 10  # Names in a message, at most.
_DEFAULT_LABEL_COLUMN = ("label",)  # The default of --label_column.


@dataclasses.dataclass(frozen=True)
class Masks(label_protocol.Labels):
    """Labels that are masks: pictures of classes.

    Attributes:
        options: Which data, and how its masks are interpreted.
        cache_dir: Where masks are kept in the form that training reads.
        scheme: The class of each mask value, once it is known.
    """

    options: data_options.DataOptions = data_options.DataOptions()
    cache_dir: pathlib.Path = pathlib.Path()
    scheme: mask_values.ValueMap = dataclasses.field(
        default=mask_values.UNKNOWN_MAP, hash=False
    )

    sources = ("csv", "pairs", "tfds_masks")

    def configure(
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

    def required_columns(
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
            "label_column": _DEFAULT_COLUMN
            if columns == _DEFAULT_LABEL_COLUMN
            else columns
        }

    def file_columns(
        self, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the column of masks."""
        return self.required_columns(options)["label_column"]

    def read_row(
        self,
        cells: Mapping[str, str],
        where: str,
        files: file_locator.Locator,
        options: data_options.DataOptions,
    ) -> examples.Mask:
        """Returns the mask that a row names."""
        (column,) = self.required_columns(options)["label_column"]
        if not cells[column]:
            raise errors.DataError(f"{where} has no mask (column {column!r}).")
        return examples.Mask(path=files.find(cells[column]))

    def restore(self, described: Mapping[str, Any]) -> "Masks":
        """Returns labels that interpret other masks as a finished run did."""
        names = tuple(described["class_names"])
        # JSON has texts as keys; null is the ignored class.
        indices = {
            int(value): mask_files.IGNORED_INDEX
            if name is None
            else names.index(name)
            for value, name in described.get("mask_values", {}).items()
        }
        scheme = mask_values.ValueMap(
            names=names, indices=indices, is_learned=True
        )
        return dataclasses.replace(self, scheme=scheme) if indices else self

    def configure_for_pictures(
        self, declared: Sequence[str], pictures: Sequence[examples.Picture]
    ) -> "Masks":
        """Returns labels that know the class of each mask value."""
        scheme = value_map_choice.find_value_map(
            self.options, self.scheme, declared, self._scan_masks(pictures)
        )
        return dataclasses.replace(self, scheme=scheme)

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the classes, without the ignored one."""
        return self.scheme.names

    def add_strata(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
        """Checks every mask, and stratifies by the classes of its pixels.

        Pictures of a class that too few pictures show are put into training.

        Raises:
            DataError: A mask does not fit its picture or its classes.
        """
        # Masks are read once and stored as indices: training reads those.
        prepared = mask_preparation.prepare_masks(
            pictures,
            self._scan_masks(pictures),
            self.scheme,
            cache_dir=self.cache_dir,
        )
        divisible = pixel_counts.find_divisible_classes(prepared)
        return tuple(
            dataclasses.replace(
                each,
                strata=tuple(
                    k for k in pixel_counts.list_classes(each) if k in divisible
                ),
                rare_strata=tuple(
                    k
                    for k in pixel_counts.list_classes(each)
                    if k not in divisible
                ),
            )
            for each in prepared
        ), ()

    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that masks show at least two classes."""
        present = {
            name
            for each in pictures
            for name in pixel_counts.list_classes(each)
        }
        if len(present) < 2:
            only = f" but {next(iter(present))!r}" if present else ""
            raise errors.DataError(
                f"No pixel is of any class{only}; masks must show at least "
                "two classes."
            )

    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Warns of classes that cannot be trained or cannot be evaluated."""
        seen = {
            split: {
                k
                for p in pictures
                if p.split == split
                for k in pixel_counts.list_classes(p)
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
                _list_names(never),
            )
        for split in ("validation", "test"):
            if unlearned := sorted(seen[split] - seen["train"]):
                logging.warning(
                    "Masks of the %s split show classes that no training mask "
                    "shows; these are not trained and have an IoU of 0: %s.",
                    split,
                    _list_names(unlearned),
                )
            lacking = sorted(seen["train"] - seen[split])
            if seen[split] and lacking:
                logging.warning(
                    "No mask of the %s split shows: %s.",
                    split,
                    _list_names(lacking),
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
            "mask_values": pixel_counts.list_mask_values(data.pictures),
            "masks": {
                split: pixel_counts.describe_masks(
                    data.split(split), data.class_names
                )
                for split in data.splits
            },
        }

    def _scan_masks(
        self, pictures: Sequence[examples.Picture]
    ) -> list[mask_scan.MaskScan]:
        return mask_scan.scan_masks(
            [picture.label.path for picture in pictures],
            cache_dir=self.cache_dir,
            by_color=self.by_color,
        )


LABELS = Masks()


def _list_names(names: Sequence[str]) -> str:
    """Lists names, at most ten of them."""
    more = len(names) - _LISTED
    rest = f" and {more} more" if more > 0 else ""
    return ", ".join(names[:_LISTED]) + rest
