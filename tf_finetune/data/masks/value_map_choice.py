"""Choice of the mapping from mask values to classes.

Its sources are a color map, a list of class names beside the data, the mapping
of a finished run, and the values themselves.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.masks import (
    class_lists,
    mask_files,
    mask_scan,
    mask_values,
    smoothing_artifacts,
)

ClassNames = Sequence[str] | Mapping[int, str]
"""Names of classes in their order, or by value."""


def find_value_map(
    options: data_options.DataOptions,
    learned: mask_values.ValueMap,
    declared: Sequence[str],
    scans: Sequence[mask_scan.MaskScan],
) -> mask_values.ValueMap:
    """Returns the mapping from mask values to classes; logs an unusual one.

    Args:
        options: Data options, with the color map and the ignored class.
        learned: Mapping of a finished run, which goes first;
            `mask_values.UNKNOWN_MAP` if there is none.
        declared: Class names by value that the data source brings; may be
            empty: a file beside the data may then name them.
        scans: Scans of all masks.

    Raises:
        UsageError: The options name a class that does not exist.
        DataError: The number of classes is ambiguous, or masks were smoothed.
    """
    values = {value for each in scans for value in each.pixels}
    if options.color_map is not None:
        return _find_color_map(options, learned, values, scans)
    names: ClassNames = declared or _read_names_beside(options)
    # Rare values are suspicious only if nobody named them.
    if not {*values} <= {*learned.indices, *_list_values(names)}:
        smoothing_artifacts.check_not_smoothed(scans, by_color=False)
    if not (names or learned.names or options.ignore_label):
        _check_one_scale(scans)
    # A finished run goes first: its model has outputs in that order.
    if learned.names and (not names or _fits_learned(names, learned, values)):
        scheme = mask_values.adapt_learned(
            learned, options.ignore_label, values
        )
    else:
        scheme = mask_values.map_numbers(names, options.ignore_label, values)
    if not scheme.is_plain:
        logging.info(
            "The values in the masks stand for these classes: %s.",
            scheme.table(),
        )
    return scheme


def _check_one_scale(scans: Sequence[mask_scan.MaskScan]) -> None:
    """Raises `DataError` if some masks hold 0 and 1, and others 0 and 255."""
    counts = collections.Counter(max(each.pixels, default=0) for each in scans)
    values = {value for each in scans for value in each.pixels}
    # Only where no mask holds both: then 1 and 255 may be one class.
    if values != {0, 1, 255} or any({1, 255} <= {*e.pixels} for e in scans):
        return
    raise errors.DataError(
        f"{counts[1]} of {len(scans)} masks hold 1 and {counts[255]} hold 255, "
        "and none holds both: is that one class, written in two ways? Then "
        "write 1 in place of 255 in all of them. If 255 is a class of its own, "
        "name 3 classes in a classes.json beside the data, in the order of the "
        "values; if it marks what is to be ignored, give --ignore_label=255."
    )


def _find_color_map(
    options: data_options.DataOptions,
    learned: mask_values.ValueMap,
    values: Collection[int],
    scans: Sequence[mask_scan.MaskScan],
) -> mask_values.ValueMap:
    if learned.names:  # Its color map may be gone.
        scheme = dataclasses.replace(learned, by_color=True)
        known = {*learned.indices}
    else:
        path = pathlib.Path(options.color_map or "").expanduser()
        colors = class_lists.read_color_map(path)
        scheme = mask_values.map_colors(colors, options.ignore_label)
        known = {*map(mask_files.encode_color, colors.values())}
    if not {*values} <= known:
        smoothing_artifacts.check_not_smoothed(scans, by_color=True)
    return scheme


def _read_names_beside(options: data_options.DataOptions) -> ClassNames:
    """Returns the names in a file beside the data; empty if there is none."""
    place = pathlib.Path(options.data).expanduser()
    folder = place if place.is_dir() else place.parent
    return class_lists.read_class_names(folder) if place.exists() else ()


def _list_values(names: ClassNames) -> Collection[int]:
    """Returns the values that names stand for."""
    return [*names] if isinstance(names, Mapping) else range(len(names))


def _fits_learned(
    names: ClassNames, learned: mask_values.ValueMap, values: Collection[int]
) -> bool:
    """Tells if a finished run's mapping fits masks with these names."""
    every = names.values() if isinstance(names, Mapping) else names
    # The other data may name an ignored class, which the run does not have; the
    # rest must come in the run's order.
    kept = [name for name in every if name in learned.names]
    return kept == [*learned.names] and {*values} <= {*learned.indices}
