"""Statistics of a run's data, for data.json and for the log."""

import collections
import hashlib
import json
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from tf_finetune import terminal_escapes
from tf_finetune.data import examples, label_protocol


def compute_fingerprint(
    class_names: Sequence[str],
    pictures: Iterable[examples.Picture],
    labels: label_protocol.Labels,
) -> str:
    """Hashes the contents, labels and splits of pictures.

    Args:
        class_names: In the order of the model's outputs.
        pictures: In any order; where they lie plays no part.
        labels: How their labels are understood.

    Returns:
        64 hexadecimal digits.
    """
    # Sorted, and without paths: moving or renaming files changes nothing.
    rows = sorted(
        (p.sha256, labels.text(p.label), p.split or "") for p in pictures
    )
    text = json.dumps([list(class_names), rows])
    return hashlib.sha256(text.encode()).hexdigest()


def describe_data(
    data: examples.ImageData, labels: label_protocol.Labels
) -> dict[str, Any]:
    """Returns the contents of data.json, as plain values ready for JSON.

    Args:
        data: The cleaned and divided pictures.
        labels: How their labels are understood.

    Returns:
        `compute_fingerprint`, `class_names`, `images` (counts by split), the
        task's description of its labels, `width` and `height` (pixels as
        stored), `dropped` (by reason, and every file), `duplicates` and
        `conflicting_labels` (pictures of equal bytes), and `split_of` (by
        SHA-256 of the file).
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
        max_dropped: How many dropped files are named.

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
    lines += [
        f"  dropped {format_dropped(each)}" for each in named[:max_dropped]
    ]
    rest = len(single) - len(named[:max_dropped])
    if rest:
        files = format_count(rest, "more dropped file")
        lines.append(f"  {files} not listed here")
    return terminal_escapes.join_lines(lines)


def count_dropped(dropped: Iterable[examples.DroppedFile]) -> int:
    """Counts the files that are not used, including those in folders."""
    return sum(1 if d.pictures is None else d.pictures for d in dropped)


def format_dropped(dropped: examples.DroppedFile) -> str:
    """Formats a dropped file and its reason as one printable line."""
    path = dropped.path
    return f"{path if path.isprintable() else ascii(path)}: {dropped.reason}"


def find_duplicates(
    pictures: Iterable[examples.Picture],
) -> list[tuple[examples.Picture, ...]]:
    """Finds all sets of two or more byte-identical pictures."""
    by_content = collections.defaultdict(list)
    for picture in pictures:
        by_content[picture.sha256].append(picture)
    return [tuple(same) for same in by_content.values() if len(same) > 1]


def find_conflicts(
    pictures: Iterable[examples.Picture], labels: label_protocol.Labels
) -> list[tuple[examples.Picture, ...]]:
    """Finds all sets of byte-identical pictures with different labels."""
    return [
        same
        for same in find_duplicates(pictures)
        if len({labels.text(picture.label) for picture in same}) > 1
    ]


def _summarize_range(values: Sequence[int]) -> dict[str, float]:
    return {
        "min": min(values),
        "median": statistics.median(values),
        "max": max(values),
    }


def _count_reasons(dropped: Iterable[examples.DroppedFile]) -> dict[str, int]:
    """Counts dropped files by the part of their reason before a colon.

    The rest of a reason is about the single file.
    """
    counts = collections.Counter(d.reason.partition(":")[0] for d in dropped)
    return dict(counts.most_common())
