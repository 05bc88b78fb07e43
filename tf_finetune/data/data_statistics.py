"""Statistics of a run's data and its dropped files, for data.json and log."""

import collections
import hashlib
import json
import os
import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors, terminal_escapes
from tf_finetune.data import class_names, examples, label_protocol
from tf_finetune.data.folders import ignored_folders

_SILENT_FRACTION = 0.25
"""Share of the files of a class or a split that may be dropped silently."""

_CONVERTIBLE_WORDS = (
    "tif tiff heic heif avif jxl jp2 j2k ico psd pgm ppm pbm pnm tga pcx dcm"
)
_CONVERTIBLE = frozenset(_CONVERTIBLE_WORDS.split())
"""Suffixes of picture formats that ImageMagick converts."""

_Examples = Sequence[examples.Example | examples.Picture]


def compute_fingerprint(
    names: Sequence[str],
    pictures: Iterable[examples.Picture],
    labels: label_protocol.Labels,
) -> str:
    """Hashes the contents, labels and splits of pictures.

    Args:
        names: Names of the model's outputs, in their order.
        pictures: In any order; their paths play no part.
        labels: The task's labels, which write each label as text.

    Returns:
        64 hexadecimal digits.
    """
    # Sorted, and without paths: moving or renaming files changes nothing.
    rows = sorted(
        (p.sha256, labels.text(p.label), p.split or "") for p in pictures
    )
    text = json.dumps([list(names), rows])
    return hashlib.sha256(text.encode()).hexdigest()


def describe_data(
    data: examples.ImageData, labels: label_protocol.Labels
) -> dict[str, Any]:
    """Returns the contents of data.json, as plain values ready for JSON.

    Args:
        data: The cleaned and divided pictures.
        labels: The task's labels, which describe themselves.

    Returns:
        `fingerprint`, `class_names`, `images` (counts by split), the task's
        entries about its labels, `width` and `height` (`min`, `median` and
        `max` in pixels, as stored), `dropped` (`count`, `by_reason`, `files`),
        `duplicates` and `conflicting_labels` (pictures of equal bytes), and
        `split_of` (by SHA-256 of the file).
    """
    return {
        "fingerprint": data.fingerprint,
        "class_names": list(data.class_names),
        "images": {name: len(data.split(name)) for name in data.splits},
        **labels.describe(data),
        "width": _summarize_range([p.width for p in data.pictures]),
        "height": _summarize_range([p.height for p in data.pictures]),
        "dropped": {
            "count": count_dropped(data.dropped),
            "by_reason": _count_reasons(data.dropped),
            "files": [
                {"path": d.path, "reason": d.reason} for d in data.dropped
            ],
        },
        "duplicates": [
            {"sha256": same[0].sha256, "paths": [p.path for p in same]}
            for same in find_duplicates(data.pictures)
        ],
        "conflicting_labels": [
            {
                "sha256": same[0].sha256,
                "labels": {p.path: labels.text(p.label) for p in same},
            }
            for same in find_conflicts(data.pictures, labels)
        ],
        "split_of": {p.sha256: p.split for p in data.pictures},
    }


def format_count(number: int, one: str, several: str = "") -> str:
    """Returns a count with its noun: "1 picture" or "2 pictures".

    Args:
        number: How many there are.
        one: The noun in the singular.
        several: The noun in the plural; empty: the singular with an s.
    """
    return f"{number} {one if number == 1 else several or one + 's'}"


def format_summary(data: examples.ImageData, *, max_dropped: int = 10) -> str:
    """Summarizes the data in a few lines for the log.

    Args:
        data: The cleaned and divided pictures.
        max_dropped: How many dropped files are named at most.

    Returns:
        "398 pictures, 1 dropped, 2 classes: train 245, validation 153" and a
        line for each of the first dropped files.
    """
    counts = ", ".join(f"{n} {len(data.split(n))}" for n in data.splits)
    lines = [
        f"{format_count(len(data.pictures), 'picture')}, "
        f"{count_dropped(data.dropped)} dropped, "
        f"{format_count(len(data.class_names), 'class', 'classes')}: {counts}"
    ]
    # Files left out on request would crowd out the faulty ones; folders that
    # are left out are logged where they are found.
    asked = "beyond --max_train_per_class"
    single = [d for d in data.dropped if d.pictures is None]
    named = [d for d in single if not d.reason.startswith(asked)]
    lines += [f"  dropped {format_dropped(d)}" for d in named[:max_dropped]]
    rest = len(single) - len(named[:max_dropped])
    if rest:
        files = format_count(rest, "more dropped file")
        lines.append(f"  {files} not listed here")
    return terminal_escapes.join_lines(lines)


def count_dropped(dropped: Iterable[examples.DroppedFile]) -> int:
    """Counts dropped files, and in dropped folders the pictures."""
    return sum(1 if d.pictures is None else d.pictures for d in dropped)


def format_dropped(dropped: examples.DroppedFile) -> str:
    """Formats a dropped file as "PATH: reason", on one printable line."""
    path = dropped.path
    return f"{path if path.isprintable() else ascii(path)}: {dropped.reason}"


def find_duplicates(
    pictures: Iterable[examples.Picture],
) -> list[tuple[examples.Picture, ...]]:
    """Finds pictures of identical bytes; each tuple holds two or more."""
    by_content = collections.defaultdict(list)
    for picture in pictures:
        by_content[picture.sha256].append(picture)
    return [tuple(same) for same in by_content.values() if len(same) > 1]


def find_conflicts(
    pictures: Iterable[examples.Picture], labels: label_protocol.Labels
) -> list[tuple[examples.Picture, ...]]:
    """Finds pictures of identical bytes whose labels differ, as tuples."""
    return [
        same
        for same in find_duplicates(pictures)
        if len({labels.text(picture.label) for picture in same}) > 1
    ]


def check_not_emptied(
    before: _Examples,
    pictures: Sequence[examples.Picture],
    dropped: Sequence[examples.DroppedFile],
    labels: label_protocol.Labels,
) -> None:
    """Checks that cleaning has emptied neither the data nor a class or a split.

    Args:
        before: The examples before cleaning.
        pictures: Those that are left.
        dropped: Those that are not, and why.
        labels: The task's labels, which name the classes of a label.

    Raises:
        DataError: No picture is left at all, or of a class or a split. The
            message names it and why its files were dropped.
    """
    if not pictures:
        first = format_first(dropped)
        raise errors.DataError(f"The data holds no usable picture. {first}")
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


def warn_of_many_dropped(
    before: _Examples,
    dropped: Iterable[examples.DroppedFile],
    labels: label_protocol.Labels,
) -> None:
    """Logs a warning if over a quarter of a class, a split or all was dropped.

    Files whose suffix is that of a text, a table or an archive do not count.

    Args:
        before: The examples before cleaning.
        dropped: Those of them, or others, that are not used, and why.
        labels: The task's labels, which name the classes of a label.
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
        class_names.join_names(parts),
        reason,
        _conversion_hint([each.path for each in lost]),
    )


def format_first(dropped: Sequence[examples.DroppedFile]) -> str:
    """Lists the first dropped files with their reasons; counts the others.

    Returns:
        "a.jpg: reason; b.jpg: reason; and 3 more."
    """
    lines = [format_dropped(each) for each in dropped[: class_names.MAX_LISTED]]
    if len(dropped) > class_names.MAX_LISTED:
        lines.append(f"and {len(dropped) - class_names.MAX_LISTED} more")
    return "; ".join(lines or ["no file at all"]) + "."


def _summarize_range(values: Sequence[int]) -> dict[str, float]:
    return {
        "min": min(values),
        "median": statistics.median(values),
        "max": max(values),
    }


def _count_reasons(dropped: Iterable[examples.DroppedFile]) -> dict[str, int]:
    """Counts dropped files by their reason up to the first colon."""
    counts = collections.Counter(d.reason.partition(":")[0] for d in dropped)
    return dict(counts.most_common())


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
