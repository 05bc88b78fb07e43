"""Errors and warnings about classes and splits that cleaning reduced."""

import collections
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.data import data_statistics, examples, label_protocol
from tf_finetune.data.folders import folder_messages, ignored_folders

_MAX_SHOWN = 10
_SILENT_FRACTION = 0.25
"""Share of the files of a class or a split that may be dropped silently."""

_CONVERTIBLE_WORDS = (
    "tif tiff heic heif avif jxl jp2 j2k ico psd pgm ppm pbm pnm tga pcx dcm"
)
_CONVERTIBLE = frozenset(_CONVERTIBLE_WORDS.split())
"""Suffixes of picture formats that ImageMagick converts."""

_Examples = Sequence[examples.Example | examples.Picture]


def check_not_emptied(
    before: _Examples,
    pictures: Sequence[examples.Picture],
    dropped: Sequence[examples.DroppedFile],
    labels: label_protocol.Labels,
) -> None:
    """Raises an error if cleaning has emptied the data, a class or a split.

    Args:
        before: The examples before cleaning.
        pictures: Those that are left.
        dropped: Those that are not.
        labels: How their labels are understood.

    Raises:
        DataError: It names what is empty and why its files were dropped.
    """
    if not pictures:
        raise errors.DataError(
            f"The data holds no usable picture. {format_first(dropped)}"
        )
    reasons = {each.path: each for each in dropped}
    for word, kinds in _counted_kinds(labels):
        present = {kind for each in pictures for kind in kinds(each)}
        lost = [k for e in before for k in kinds(e) if k not in present]
        if not lost:
            continue
        # The first lost class or split is named; a user repairs one at a time.
        mine = [each for each in before if lost[0] in kinds(each)]
        why = [reasons[e.path] for e in mine if e.path in reasons]
        raise errors.DataError(
            f"None of the {len(mine)} files of the {word} {lost[0]!r} can be "
            f"used: {format_first(why)}"
        )


def warn_of_many(
    before: _Examples,
    dropped: Iterable[examples.DroppedFile],
    labels: label_protocol.Labels,
) -> None:
    """Warns if more than a quarter of a class or a split was dropped.

    Files with the names of texts or tables do not count.

    Args:
        before: The examples before cleaning.
        dropped: Those that are not used.
        labels: How their labels are understood.
    """
    before = [e for e in before if ignored_folders.may_be_picture(e.path)]
    reasons = {each.path: each.reason for each in dropped}
    lost = [each for each in before if each.path in reasons]
    if not lost:
        return
    parts = []
    for word, kinds in _counted_kinds(labels):
        all_of = collections.Counter(k for e in before for k in kinds(e))
        lost_of = collections.Counter(k for e in lost for k in kinds(e))
        parts += [
            f"{count} of {all_of[kind]} files of the {word} {kind!r}"
            for kind, count in lost_of.items()
            if kind is not None and count > _SILENT_FRACTION * all_of[kind]
        ]
    # Where labels name no classes, as in regression, all files count together.
    if not parts and len(lost) > _SILENT_FRACTION * len(before):
        parts = [f"{len(lost)} of {len(before)} files"]
    if not parts:
        return
    # Only the commonest reason is shown; data.json holds that of each file.
    counts = collections.Counter(reasons[each.path] for each in lost)
    ((reason, _),) = counts.most_common(1)
    logging.warning(
        "%s cannot be used and are left out, most of them for this reason: "
        "%s.%s",
        folder_messages.join_names(parts, shown=_MAX_SHOWN),
        reason,
        _conversion_hint([each.path for each in lost]),
    )


def format_first(dropped: Sequence[examples.DroppedFile]) -> str:
    """Lists the first dropped files with their reasons; counts the others."""
    lines = [
        data_statistics.format_dropped(each) for each in dropped[:_MAX_SHOWN]
    ]
    if len(dropped) > _MAX_SHOWN:
        lines.append(f"and {len(dropped) - _MAX_SHOWN} more")
    return "; ".join(lines or ["no file at all"]) + "."


def _counted_kinds(
    labels: label_protocol.Labels,
) -> tuple[tuple[str, Callable[[Any], tuple[str | None, ...]]], ...]:
    """Returns (word, function of an example → the names it counts for)."""
    return (
        ("class", lambda each: labels.list_classes(each.label)),
        ("split", lambda each: (each.split,)),
    )


def _conversion_hint(paths: Collection[str]) -> str:
    """Returns a hint how to convert the files to PNG; empty if none applies."""
    suffixes = collections.Counter(
        os.path.splitext(path)[1].lower() for path in paths
    )
    for suffix, _ in suffixes.most_common():
        if suffix[1:] in _CONVERTIBLE:
            return (
                f" ImageMagick converts such files: `magick mogrify -format "
                f"png *{suffix}` in each folder writes a PNG beside each; "
                "then move the originals elsewhere."
            )
    return ""
