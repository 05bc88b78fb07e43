"""Lists, inspects, cleans and splits the pictures of --data.

TensorFlow is not loaded; which pictures cannot be decoded is handed in.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import (
    class_names,
    data_statistics,
    examples,
    label_protocol,
    splits,
)
from tf_finetune.data.folders import folder_tree
from tf_finetune.data.images import inspection
from tf_finetune.data.sources import catalog

_TINY_SIDE_PIXELS = 8  # Pixels; scikit-learn's handwritten digits are 8 x 8.


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectedPictures:
    """Pictures whose headers were read but whose pixels were not.

    Attributes:
        class_names: Names of the model's outputs, in their order.
        pictures: Pictures whose headers and labels are usable.
        dropped: All other files that were found, and why they are not used.
        labels: The task's labels, configured for these pictures.
        logged_messages: What the log has told about them and the weights; it is
            not repeated for each further network, as in the trials of a recipe.
    """

    class_names: tuple[str, ...]
    pictures: tuple[examples.Picture, ...]
    dropped: tuple[examples.DroppedFile, ...]
    labels: label_protocol.Labels
    logged_messages: set[str] = dataclasses.field(
        default_factory=set, compare=False, repr=False
    )


def name_data(data: Any, *, cache_dir: pathlib.Path) -> str:
    """Returns a value for `--data`; data in memory is written to files first.

    Args:
        data: A path or name, which is returned as text; or `(images, labels)`
            or a `tf.data.Dataset`, as `arrays.materialize` takes them.
        cache_dir: The cache directory, where these files go.

    Raises:
        DataError: The arrays cannot be used.
    """
    if isinstance(data, (str, os.PathLike)):
        return os.fsdecode(data)
    from tf_finetune.data import arrays  # Only for arrays.

    return str(arrays.materialize(data, cache_dir=cache_dir))


def list_and_inspect(
    options: data_options.DataOptions,
    labels: label_protocol.Labels,
    *,
    cache_dir: pathlib.Path,
    training: bool = True,
) -> InspectedPictures:
    """Lists the pictures of --data and inspects the header of every file.

    Args:
        options: Where the data lies, how it is read, and what is usable.
        labels: The task's labels; they are configured for the data.
        cache_dir: The cache, where pictures of arrays or data sets become
            files.
        training: Whether the pictures are for training; a single class or a
            class of one picture is an error only then.

    Returns:
        The usable pictures, without splits unless the data brings them, and the
        dropped files.

    Raises:
        UsageError: --data or --data_format is not understood.
        DataError: There is no data, no usable picture in all of it or in a
            class or a split, or a file is unusable with --bad_data=error.
    """
    # Each step lets the labels know more of the data; strata need the usable
    # pictures, and are needed by the splits.
    labels = labels.configure(options, cache_dir)
    source = catalog.find_source(options, labels)
    listing = source.list_examples(options, labels, cache_dir)
    listing = labels.merge_spellings(listing, options)
    pictures, dropped = inspection.inspect_files(
        listing.examples, max_pixels=options.max_pixels
    )
    labels = labels.configure_for_pictures(listing.class_names, pictures)
    names = labels.names(listing, options)
    pictures, without_label = labels.add_strata(pictures, names)
    inspected = InspectedPictures(
        class_names=names,
        pictures=pictures,
        dropped=listing.dropped + dropped + without_label,
        labels=labels,
    )
    _check_bad_data(inspected.dropped, options)
    data_statistics.check_not_emptied(
        listing.examples, inspected.pictures, inspected.dropped, labels
    )
    data_statistics.warn_of_many_dropped(
        listing.examples, inspected.dropped, labels
    )
    if training:
        _warn_of_tiny(pictures)
        splits.check_pictures(pictures, labels)
    return inspected


def clean_and_split(
    inspected: InspectedPictures,
    problems: Mapping[str, str],
    options: data_options.DataOptions,
    *,
    seed: int,
) -> examples.ImageData:
    """Drops pictures that cannot be decoded, and splits the rest.

    Args:
        inspected: The result of `list_and_inspect`.
        problems: Reason by path of each picture that cannot be decoded.
        options: The same options as for `list_and_inspect`.
        seed: Seed of the draw of splits.

    Returns:
        The pictures with their splits, all dropped files and the fingerprint;
        `resize` and `pixels` have their default values.

    Raises:
        DataError: No decodable picture is left in all of the data or in a class
            or a split, a picture is undecodable with --bad_data=error, or the
            pictures cannot be divided.
    """
    decodable = _drop_undecodable(inspected, problems)
    _check_bad_data(decodable.dropped, options)
    data_statistics.check_not_emptied(
        inspected.pictures,
        decodable.pictures,
        decodable.dropped,
        inspected.labels,
    )
    data_statistics.warn_of_many_dropped(
        inspected.pictures, decodable.dropped, inspected.labels
    )
    _warn_of_conflicts(decodable)
    pictures, unused = splits.assign_splits(
        decodable.pictures,
        inspected.labels,
        validation_fraction=options.validation_fraction,
        test_fraction=options.test_fraction,
        max_train_per_class=options.max_train_per_class,
        seed=seed,
    )
    return examples.ImageData(
        class_names=inspected.class_names,
        pictures=pictures,
        dropped=decodable.dropped + unused,
        fingerprint=data_statistics.compute_fingerprint(
            inspected.class_names, pictures, inspected.labels
        ),
    )


def _drop_undecodable(
    inspected: InspectedPictures, problems: Mapping[str, str]
) -> InspectedPictures:
    """Moves pictures in `problems` (reason by path) to the dropped files."""
    dropped = tuple(
        examples.DroppedFile(path=picture.path, reason=problems[picture.path])
        for picture in inspected.pictures
        if picture.path in problems
    )
    kept = tuple(p for p in inspected.pictures if p.path not in problems)
    return dataclasses.replace(
        inspected, pictures=kept, dropped=inspected.dropped + dropped
    )


def _check_bad_data(
    dropped: Sequence[examples.DroppedFile], options: data_options.DataOptions
) -> None:
    """Raises an error for unusable files if --bad_data=error.

    Hidden files and folders without data never count.
    """
    # Such files are no faults of the data.
    never = ("a hidden ", folder_tree.NO_DATA_REASON)
    bad = [d for d in dropped if not d.reason.startswith(never)]
    if options.bad_data == "error" and bad:
        raise errors.DataError(
            f"{len(bad)} files cannot be used and --bad_data=error: "
            f"{data_statistics.format_first(bad)}"
        )


def _warn_of_tiny(pictures: Sequence[examples.Picture]) -> None:
    tiny = [p for p in pictures if min(p.width, p.height) < _TINY_SIDE_PIXELS]
    if not tiny:
        return
    logging.warning(
        "%d of %d pictures %s a side of less than %d pixels: %s.",
        len(tiny),
        len(pictures),
        "has" if len(tiny) == 1 else "have",
        _TINY_SIDE_PIXELS,
        class_names.join_names(
            [f"{p.path} ({p.width} x {p.height})" for p in tiny]
        ),
    )


def _warn_of_conflicts(found: InspectedPictures) -> None:
    text = found.labels.text
    conflicts = data_statistics.find_conflicts(found.pictures, found.labels)
    for same in conflicts[: class_names.MAX_LISTED]:
        shown = [f"{p.path} is {text(p.label)}" for p in same]
        logging.warning(
            "The same picture has different labels: %s.",
            class_names.join_names(shown),
        )
    rest = len(conflicts) - class_names.MAX_LISTED
    if rest > 0:
        logging.warning(
            "data.json lists %s with different labels.",
            data_statistics.format_count(rest, "more picture"),
        )
