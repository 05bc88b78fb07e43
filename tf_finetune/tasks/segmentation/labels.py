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
    """Labels that are segmentation masks: one class index per pixel.

    Attributes:
        options: Which data, and how its masks are interpreted.
        cache_dir: Where masks are stored as index images, which training
            reads.
        scheme: The class of each pixel value; `UNKNOWN_MAP` before it is found.
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
        """Returns a copy with these options and this cache directory.

        Args:
            options: Which data, and how its masks are interpreted.
            cache_dir: Where masks are stored as index images; "~" is expanded.
        """
        return dataclasses.replace(
            self,
            options=options,
            cache_dir=pathlib.Path(cache_dir).expanduser(),
        )

    @property
    def by_color(self) -> bool:
        """Whether the colors of masks are their classes (`--color_map`)."""
        return self.options.color_map is not None

    def required_columns(
        self, options: data_options.DataOptions
    ) -> dict[str, tuple[str, ...]]:
        """Returns `{"label_column": (name of the column of masks,)}`.

        Raises:
            UsageError: --label_column names several columns.
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
        """Returns a tuple of the column of masks, whose cells name files."""
        return self.required_columns(options)["label_column"]

    def read_row(
        self,
        cells: Mapping[str, str],
        where: str,
        files: file_locator.Locator,
        options: data_options.DataOptions,
    ) -> examples.Mask:
        """Finds the mask file that a row names; it is not opened.

        `files` resolves the path in the cell; `where` names the row in
        messages.

        Raises:
            DataError: The cell is empty.
        """
        (column,) = self.required_columns(options)["label_column"]
        if not cells[column]:
            raise errors.DataError(f"{where} has no mask (column {column!r}).")
        return examples.Mask(path=files.find(cells[column]))

    def restore(self, described: Mapping[str, Any]) -> "Masks":
        """Returns a copy that maps pixel values to classes as a run did.

        Args:
            described: The run's data.json; without `mask_values` the object
                itself is returned.
        """
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
        """Scans all masks; returns a copy that knows each value's class.

        `declared` are the classes that the data source names.
        """
        scheme = value_map_choice.find_value_map(
            self.options, self.scheme, declared, self._scan_masks(pictures)
        )
        return dataclasses.replace(self, scheme=scheme)

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the classes, without the ignored one, in output order."""
        return self.scheme.names

    def add_strata(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
        """Checks and stores masks; stratifies by the classes of pixels.

        Returns copies of all pictures, with masks stored as class indices, and
        an empty tuple of dropped files. Classes that too few pictures show are
        `rare_strata`: these pictures are put into training.

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
        """Checks that masks show at least two classes.

        Raises:
            DataError: They show fewer.
        """
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
        """Logs a warning about classes that cannot be learned or evaluated."""
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
        """Returns text that is equal for equal mask files with equal classes.

        It holds the file's hash and the name of the value map.
        """
        # The folder of a prepared mask is named after the scheme.
        scheme = os.path.basename(os.path.dirname(label.indices))
        return f"mask {label.sha256} {scheme}"

    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Describes the masks for data.json: pixels and pictures by class.

        Returns:
            `mask_values`: value in the user's masks → class, None: ignored;
            `masks`: split → counts, see `pixel_counts.describe_masks`.
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
