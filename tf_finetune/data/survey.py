"""Lists, inspects, cleans and splits the pictures of --data.

TensorFlow is not loaded; which pictures cannot be decoded is handed in.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, labelling, losses, splits, statistics
from tf_finetune.data.folders import telling
from tf_finetune.data.pictures import inspection
from tf_finetune.data.sources import catalog

_TINY = 8  # Pixels; scikit-learn's handwritten digits are 8 x 8.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspected:
    """Pictures whose headers were read but whose pixels were not.

    Attributes:
        class_names: Of the model's outputs, in their order.
        pictures: Usable as far as their headers say.
        dropped: Everything else that was found.
        labels: How their labels are understood.
    """

    class_names: tuple[str, ...]
    pictures: tuple[examples.Picture, ...]
    dropped: tuple[examples.Dropped, ...]
    labels: labelling.Labels


def list_and_inspect(
    options: data_options.DataOptions,
    labels: labelling.Labels,
    *,
    cache_dir: pathlib.Path,
    training: bool = True,
) -> Inspected:
    """Lists the pictures and inspects the header of every file.

    Args:
        options: Which data, and what is usable.
        labels: How their labels are understood.
        cache_dir: Where pictures that are no files yet may be written.
        training: Whether they are trained on and divided; a single class or
            a class of one picture is an error only then.

    Raises:
        UsageError: --data or --data_format is not understood.
        DataError: Nothing there, nothing usable, or --bad_data=error and
            something is not usable.
    """
    # Each step lets the labels know more of the data; strata need the usable
    # pictures, and are needed by the splits.
    labels = labels.reading(options, cache_dir)
    source = catalog.find(options, labels)
    listing = source.list_examples(options, labels, cache_dir)
    listing = labels.joined(listing, options)
    pictures, dropped = inspection.inspect(
        listing.examples, max_pixels=options.max_pixels
    )
    labels = labels.settled(listing.class_names, pictures)
    names = labels.names(listing, options)
    pictures, without_label = labels.inspected(pictures, names)
    inspected = Inspected(
        class_names=names,
        pictures=pictures,
        dropped=listing.dropped + dropped + without_label,
        labels=labels,
    )
    _check_bad_data(inspected.dropped, options)
    losses.check_emptied(
        listing.examples, inspected.pictures, inspected.dropped, labels
    )
    losses.warn_of(listing.examples, inspected.dropped, labels)
    if training:
        _warn_of_tiny(pictures)
        splits.check(pictures, labels)
    return inspected


def complete(
    inspected: Inspected,
    problems: Mapping[str, str],
    options: data_options.DataOptions,
    *,
    seed: int,
) -> examples.ImageData:
    """Drops pictures that cannot be decoded, and splits the rest.

    Args:
        inspected: From `list_and_inspect`.
        problems: Reason by path of each picture that does not decode.
        options: As for `list_and_inspect`.
        seed: Start of the draw of splits.

    Raises:
        DataError: As for `list_and_inspect`; or the pictures cannot be
            divided.
    """
    decodable = _without(inspected, problems)
    _check_bad_data(decodable.dropped, options)
    losses.check_emptied(
        inspected.pictures,
        decodable.pictures,
        decodable.dropped,
        inspected.labels,
    )
    losses.warn_of(inspected.pictures, decodable.dropped, inspected.labels)
    _warn_of_conflicts(decodable)
    pictures, unused = splits.assign(
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
        fingerprint=statistics.fingerprint(
            inspected.class_names, pictures, inspected.labels
        ),
    )


def _without(inspected: Inspected, problems: Mapping[str, str]) -> Inspected:
    """Moves pictures in `problems` (reason by path) to the dropped files."""
    dropped = tuple(
        examples.Dropped(path=picture.path, reason=problems[picture.path])
        for picture in inspected.pictures
        if picture.path in problems
    )
    kept = tuple(p for p in inspected.pictures if p.path not in problems)
    return dataclasses.replace(
        inspected, pictures=kept, dropped=inspected.dropped + dropped
    )


def _check_bad_data(
    dropped: Sequence[examples.Dropped], options: data_options.DataOptions
) -> None:
    """Raises an error for unusable files if --bad_data=error.

    Hidden files and folders without data never count.
    """
    never = ("a hidden ", telling.NO_DATA)
    bad = [d for d in dropped if not d.reason.startswith(never)]
    if options.bad_data == "error" and bad:
        raise errors.DataError(
            f"{len(bad)} files cannot be used and --bad_data=error: "
            f"{losses.shown(bad)}"
        )


def _warn_of_tiny(pictures: Sequence[examples.Picture]) -> None:
    tiny = [p for p in pictures if min(p.width, p.height) < _TINY]
    if not tiny:
        return
    logging.warning(
        "%d of %d pictures %s a side of less than %d pixels: %s.",
        len(tiny),
        len(pictures),
        "has" if len(tiny) == 1 else "have",
        _TINY,
        telling.listed([f"{p.path} ({p.width} x {p.height})" for p in tiny]),
    )


def _warn_of_conflicts(found: Inspected) -> None:
    text = found.labels.text
    conflicts = statistics.conflicting(found.pictures, found.labels)
    for same in conflicts[: telling.SHOWN]:
        shown = [f"{p.path} is {text(p.label)}" for p in same]
        logging.warning(
            "The same picture has different labels: %s.",
            telling.listed(shown),
        )
    rest = len(conflicts) - telling.SHOWN
    if rest > 0:
        logging.warning(
            "data.json lists %s with different labels.",
            statistics.counted(rest, "more picture"),
        )
