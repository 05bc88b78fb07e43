"""Masks checked against their pictures and rewritten as PNGs of class indices.

Masks come as palettes, shades, bits or colors, and TensorFlow's decoder makes
colors of a palette. Written once as gray PNGs of class indices, they are read
by the graph as they are.
"""

import concurrent.futures
import dataclasses
import functools
import io
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import logging
from PIL import Image

from tf_finetune import errors, files
from tf_finetune.data import examples, progress
from tf_finetune.data.masks import reading, scanning, schemes, turn

_SHOWN = 5
_LISTED = 20


def prepare(
    pictures: Sequence[examples.Picture],
    scans: Sequence[scanning.Scan],
    scheme: schemes.Scheme,
    *,
    cache_dir: pathlib.Path,
) -> tuple[examples.Picture, ...]:
    """Returns the pictures with masks rewritten for the training graph.

    Args:
        pictures: Whose labels are masks as they were listed.
        scans: Of the masks, in the same order.
        scheme: What their values mean.
        cache_dir: The masks go into masks/ in it, by content.

    Returns:
        The same pictures; their masks are complete.

    Raises:
        DataError: A mask cannot be read, is of another size than its picture,
            or holds a value that is no class; the files are named.
        RunError: The cache cannot be written.
    """
    # In this order: values and sizes of an unreadable mask are unknown.
    _check(_unreadable, pictures, scans, "cannot be used")
    check = functools.partial(_strange, scheme=scheme)
    advice = _advice(scans, scheme)
    _check(check, pictures, scans, "hold values that are not a class", advice)
    _check(_of_other_size, pictures, scans, "do not fit their pictures")
    folder = pathlib.Path(cache_dir) / "masks" / scheme.key
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        fitting = list(pool.map(_fitting, pictures, scans))
    _warn_of_unclear(pictures, scans, fitting)
    # Every list has an entry: masks that fit in no way were refused above.
    orientations = [fits[0] for fits in fitting]
    labels = [
        _label(picture, found, orientation, scheme, folder)
        for picture, found, orientation in zip(
            pictures, scans, orientations, strict=True
        )
    ]
    _write_all(labels, orientations, scheme, folder)
    return tuple(
        dataclasses.replace(picture, label=label)
        for picture, label in zip(pictures, labels, strict=True)
    )


def upright(picture: examples.Picture) -> tuple[int, int]:
    """Returns the width and height of a picture once it is turned upright."""
    size = picture.width, picture.height
    if picture.width == picture.height:
        return size
    return turn.size(*size, _orientation(picture))


def _orientation(picture: examples.Picture) -> int:
    try:
        with Image.open(picture.path) as image:
            return turn.of(image)
    except Exception:  # Pillow raises whatever its parsers meet.
        return 1  # A damaged tag counts as upright, as in `orientation`.


def read(indices: str) -> np.ndarray:
    """Returns uint8 [height, width] class indices of a written mask."""
    with Image.open(indices) as image:
        return np.array(image)


def _check(problem, pictures, scans, what: str, advice: str = "") -> None:
    """Raises `DataError` naming the masks in which a problem is found."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [each for each in pool.map(problem, pictures, scans) if each]
    if not found:
        return
    more = len(found) - _SHOWN
    raise errors.DataError(
        f"{len(found)} of {len(pictures)} masks {what}: "
        + "; ".join(found[:_SHOWN])
        + (f"; and {more} more." if more > 0 else ".")
        + advice
    )


def _advice(scans: Sequence[scanning.Scan], scheme: schemes.Scheme) -> str:
    """Returns advice on how to name values that are not a class."""
    if scheme.is_learnt:
        return ""
    values = sorted({value for each in scans for value in each.pixels})
    if scheme.by_color:
        return " Name their colors in --color_map."
    shown = ", ".join(map(str, values[:_LISTED]))
    more = f" and {len(values) - _LISTED} more" if values[_LISTED:] else ""
    return (
        f" All masks together hold {len(values)} values ({shown}{more}): name "
        "as many classes in classes.json beside the data, in the order of the "
        'values or each by its value ({"0": "background", "255": "road"}), or '
        "leave a value out with --ignore_label."
    )


def _unreadable(picture: examples.Picture, scan: scanning.Scan) -> str:
    return f"{picture.label.path}: {scan.problem}" if scan.problem else ""


def _strange(
    picture: examples.Picture, scan: scanning.Scan, scheme: schemes.Scheme
) -> str:
    strange = [
        f"{scheme.shown(value)} in {count} pixels"
        for value, count in scan.pixels.items()
        if value not in scheme.indices
    ]
    if not strange:
        return ""
    more = len(strange) - _SHOWN
    rest = f" and {more} other values" if more > 0 else ""
    known = [scheme.shown(value) for value in sorted(scheme.indices)]
    possible = ", ".join(known)
    if len(known) > _LISTED:
        possible = f"{len(known)} values from {known[0]} to {known[-1]}"
    if scheme.by_color:
        possible = "those of --color_map"
    return (
        f"{picture.label.path}: {', '.join(strange[:_SHOWN])}{rest} "
        f"(possible: {possible})"
    )


def _of_other_size(picture: examples.Picture, scan: scanning.Scan) -> str:
    stored = picture.width, picture.height
    size = upright(picture)
    if _fitting(picture, scan):
        return ""
    tag = " after it is turned upright by its EXIF tag"
    return (
        f"{picture.label.path} is {scan.width} x {scan.height}, its picture "
        f"{picture.path} is {size[0]} x {size[1]}"
        + ("" if size == stored else tag)
    )


def _fitting(picture: examples.Picture, scan: scanning.Scan) -> list[int]:
    """Returns EXIF orientations in which a mask fits, the likeliest first.

    A mask has the tag of its picture, one of its own, or none: then it was
    drawn on the upright picture, or on the pixels as they are stored.
    """
    candidates = [scan.orientation, _orientation(picture), 1]
    return [
        each
        for each in dict.fromkeys(candidates)
        if turn.size(scan.width, scan.height, each) == upright(picture)
    ]


def _warn_of_unclear(
    pictures: Sequence[examples.Picture],
    scans: Sequence[scanning.Scan],
    fitting: Sequence[list[int]],
) -> None:
    """Warns of masks without a tag that fit turned pictures in two ways."""
    triples = list(zip(pictures, scans, fitting, strict=True))
    turned = sum(fits[0] != scan.orientation for _, scan, fits in triples)
    if turned:
        logging.info(
            "%d masks are turned by the EXIF tags of their pictures, as their "
            "size requires.",
            turned,
        )
    unclear = [
        picture.label.path
        for picture, scan, fits in triples
        if scan.orientation == 1 and len(fits) > 1
    ]
    if not unclear:
        return
    more = len(unclear) - _SHOWN
    logging.warning(
        "%s no EXIF orientation tag, unlike the picture. Masks without a tag "
        "are assumed to be drawn on the upright picture: %s%s. A mask drawn "
        "on the pixels as they are stored needs the tag, too.",
        "1 mask has" if len(unclear) == 1 else f"{len(unclear)} masks have",
        ", ".join(unclear[:_SHOWN]),
        f" and {more} more" if more > 0 else "",
    )


def _label(
    picture: examples.Picture,
    scan: scanning.Scan,
    orientation: int,
    scheme: schemes.Scheme,
    folder: pathlib.Path,
) -> examples.Mask:
    pixels = [0] * (len(scheme.names) + 1)
    for value, count in scan.pixels.items():
        index = scheme.indices[value]
        pixels[-1 if index == reading.IGNORED else index] += count
    # The same mask may belong to pictures of several orientations.
    turned = "" if orientation == 1 else f"-turned-{orientation}"
    return examples.Mask(
        path=picture.label.path,
        sha256=scan.sha256,
        indices=str(folder / f"{scan.sha256}{turned}.png"),
        pixels=tuple(pixels),
        names=scheme.names,
        values=scheme.pairs,
    )


def _write_all(
    labels: Sequence[examples.Mask],
    orientations: Sequence[int],
    scheme: schemes.Scheme,
    folder: pathlib.Path,
) -> None:
    try:
        present = set(os.listdir(folder)) if folder.is_dir() else set()
        todo = {
            mask.indices: (mask, orientation)
            for mask, orientation in zip(labels, orientations, strict=True)
            if os.path.basename(mask.indices) not in present
        }
        if not todo:
            return
        write = functools.partial(_write, scheme=scheme)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            written = pool.map(write, todo.values())
            for _ in progress.bar(
                written, total=len(todo), title="Writing masks"
            ):
                pass
    except OSError as error:
        raise errors.RunError(
            f"Masks cannot be written to {folder}: "
            f"{error.strerror or error}. --cache_dir names another place."
        ) from error


def _write(job: tuple[examples.Mask, int], scheme: schemes.Scheme) -> None:
    mask, orientation = job
    content = pathlib.Path(mask.path).read_bytes()
    values = reading.read(
        content, by_color=scheme.by_color, orientation=orientation
    )
    # Values may be 24-bit colors: a table over the distinct ones only.
    distinct, places = np.unique(values, return_inverse=True)
    table = np.array([scheme.indices[v] for v in distinct.tolist()], np.uint8)
    indices = table[places.reshape(values.shape)]
    file = io.BytesIO()
    Image.fromarray(indices).save(file, "PNG", compress_level=4)
    with files.replacing(pathlib.Path(mask.indices)) as temporary:
        temporary.write_bytes(file.getvalue())
