"""What cleaning left of each class and split."""

import collections
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.data import examples, labelling, statistics
from tf_finetune.data.folders import leftovers, telling

_SHOWN = 10
_MANY = 0.25
"""Share of a class or a split whose loss is worth a warning."""

_CONVERTIBLE_WORDS = (
    "tif tiff heic heif avif jxl jp2 j2k ico psd pgm ppm pbm pnm tga pcx dcm"
)
_CONVERTIBLE = frozenset(_CONVERTIBLE_WORDS.split())
"""Suffixes of kinds that ImageMagick reads."""

_Listed = Sequence[examples.Example | examples.Picture]


def check_emptied(
    before: _Listed,
    pictures: Sequence[examples.Picture],
    dropped: Sequence[examples.Dropped],
    labels: labelling.Labels,
) -> None:
    """Stops when cleaning left nothing, or nothing of a class or split.

    Args:
        before: What was to be used.
        pictures: What is left of it.
        dropped: What is not.
        labels: How their labels are understood.

    Raises:
        DataError: It names what is empty and why its files were dropped.
    """
    if not pictures:
        raise errors.DataError(
            f"The data holds no usable picture. {shown(dropped)}"
        )
    reasons = {each.path: each for each in dropped}
    for word, kinds in _kinds(labels):
        present = {kind for each in pictures for kind in kinds(each)}
        lost = [k for e in before for k in kinds(e) if k not in present]
        if not lost:
            continue
        mine = [each for each in before if lost[0] in kinds(each)]
        why = [reasons[e.path] for e in mine if e.path in reasons]
        raise errors.DataError(
            f"None of the {len(mine)} files of the {word} {lost[0]!r} can be "
            f"used: {shown(why)}"
        )


def warn_of(
    before: _Listed,
    dropped: Iterable[examples.Dropped],
    labels: labelling.Labels,
) -> None:
    """Warns if more than a quarter of a class or a split was dropped.

    Files that are called like texts or tables do not count as a loss.

    Args:
        before: What was to be used.
        dropped: What is not.
        labels: How their labels are understood.
    """
    before = [e for e in before if leftovers.may_be_picture(e.path)]
    reasons = {each.path: each.reason for each in dropped}
    lost = [each for each in before if each.path in reasons]
    if not lost:
        return
    parts = []
    for word, kinds in _kinds(labels):
        all_of = collections.Counter(k for e in before for k in kinds(e))
        lost_of = collections.Counter(k for e in lost for k in kinds(e))
        parts += [
            f"{count} of {all_of[kind]} files of the {word} {kind!r}"
            for kind, count in lost_of.items()
            if kind is not None and count > _MANY * all_of[kind]
        ]
    if not parts and len(lost) > _MANY * len(before):
        parts = [f"{len(lost)} of {len(before)} files"]
    if not parts:
        return
    counts = collections.Counter(reasons[each.path] for each in lost)
    ((reason, _),) = counts.most_common(1)
    logging.warning(
        "%s cannot be used and are left out, most of them for this reason: "
        "%s.%s",
        telling.listed(parts, shown=_SHOWN),
        reason,
        _conversion([each.path for each in lost]),
    )


def shown(dropped: Sequence[examples.Dropped]) -> str:
    """Returns the first of the dropped files and the number of the others."""
    lines = [statistics.listed(each) for each in dropped[:_SHOWN]]
    if len(dropped) > _SHOWN:
        lines.append(f"and {len(dropped) - _SHOWN} more")
    return "; ".join(lines or ["no file at all"]) + "."


def _kinds(
    labels: labelling.Labels,
) -> tuple[tuple[str, Callable[[Any], tuple[str | None, ...]]], ...]:
    """Returns in what pictures are counted, and how to find it of one."""
    return (
        ("class", lambda each: labels.classes(each.label)),
        ("split", lambda each: (each.split,)),
    )


def _conversion(paths: Collection[str]) -> str:
    """Returns how the files can be made pictures that are read."""
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
