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
from PIL import Image

from tf_finetune import errors, files
from tf_finetune.data import examples, progress
from tf_finetune.data.masks import mask_files, mask_scan, mask_values

_MAX_SHOWN = 5
_MAX_LISTED = 20


def prepare_masks(
    pictures: Sequence[examples.Picture],
    scans: Sequence[mask_scan.MaskScan],
    scheme: mask_values.ValueMap,
    *,
    cache_dir: pathlib.Path,
) -> tuple[examples.Picture, ...]:
    """Checks masks and writes them as PNGs of class indices into the cache.

    Args:
        pictures: Pictures whose labels are masks as a data source listed
            them.
        scans: Scan results of the masks, in the same order.
        scheme: Mapping from the values in masks to class indices.
        cache_dir: Cache directory; masks go into masks/ in it, by content.

    Returns:
        New pictures, in the same order, whose labels name the written masks.

    Raises:
        DataError: A mask cannot be read, is of another size than its picture,
            or holds a value that is no class; the files are named.
        RunError: The cache cannot be written.
    """
    # In this order: values and sizes of an unreadable mask are unknown.
    _check_masks(_describe_unreadable, pictures, scans, "cannot be used")
    check = functools.partial(_describe_unknown_values, scheme=scheme)
    advice = _advise_names(scans, scheme)
    _check_masks(
        check, pictures, scans, "hold values that are not a class", advice
    )
    _check_masks(
        _describe_wrong_size, pictures, scans, "do not fit their pictures"
    )
    folder = pathlib.Path(cache_dir) / "masks" / scheme.key
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        fitting = list(pool.map(mask_scan.list_orientations, pictures, scans))
    mask_scan.warn_of_unclear(pictures, scans, fitting)
    # Every list has an entry: masks that fit in no way were refused above.
    orientations = [fits[0] for fits in fitting]
    labels = [
        _make_mask(picture, found, orientation, scheme, folder)
        for picture, found, orientation in zip(
            pictures, scans, orientations, strict=True
        )
    ]
    _write_all(labels, orientations, scheme, folder)
    return tuple(
        dataclasses.replace(picture, label=label)
        for picture, label in zip(pictures, labels, strict=True)
    )


def read_indices(indices: str) -> np.ndarray:
    """Reads the class indices of a mask that `prepare_masks` wrote.

    Args:
        indices: Path of the PNG.

    Returns:
        uint8 [height, width]; 255 (`IGNORED_INDEX`) is left out of training
        and metrics.
    """
    with Image.open(indices) as image:
        return np.array(image)


def _check_masks(problem, pictures, scans, what: str, advice: str = "") -> None:
    """Raises `DataError` naming the masks in which a problem is found."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [each for each in pool.map(problem, pictures, scans) if each]
    if not found:
        return
    more = len(found) - _MAX_SHOWN
    raise errors.DataError(
        f"{len(found)} of {len(pictures)} masks {what}: "
        + "; ".join(found[:_MAX_SHOWN])
        + (f"; and {more} more." if more > 0 else ".")
        + advice
    )


def _advise_names(
    scans: Sequence[mask_scan.MaskScan], scheme: mask_values.ValueMap
) -> str:
    """Returns advice on how to name values that are not a class."""
    if scheme.is_learned:
        return ""
    values = sorted({value for each in scans for value in each.pixels})
    if scheme.by_color:
        return " Name their colors in --color_map."
    shown = ", ".join(map(str, values[:_MAX_LISTED]))
    more = (
        f" and {len(values) - _MAX_LISTED} more" if values[_MAX_LISTED:] else ""
    )
    return (
        f" All masks together hold {len(values)} values ({shown}{more}): name "
        "as many classes in classes.json beside the data, in the order of the "
        'values or each by its value ({"0": "background", "255": "road"}), or '
        "leave a value out with --ignore_label."
    )


def _describe_unreadable(
    picture: examples.Picture, scan: mask_scan.MaskScan
) -> str:
    return f"{picture.label.path}: {scan.problem}" if scan.problem else ""


def _describe_unknown_values(
    picture: examples.Picture,
    scan: mask_scan.MaskScan,
    scheme: mask_values.ValueMap,
) -> str:
    strange = [
        f"{scheme.format_value(value)} in {count} pixels"
        for value, count in scan.pixels.items()
        if value not in scheme.indices
    ]
    if not strange:
        return ""
    more = len(strange) - _MAX_SHOWN
    rest = f" and {more} other values" if more > 0 else ""
    known = [scheme.format_value(value) for value in sorted(scheme.indices)]
    possible = ", ".join(known)
    if len(known) > _MAX_LISTED:
        possible = f"{len(known)} values from {known[0]} to {known[-1]}"
    if scheme.by_color:
        possible = "those of --color_map"
    return (
        f"{picture.label.path}: {', '.join(strange[:_MAX_SHOWN])}{rest} "
        f"(possible: {possible})"
    )


def _describe_wrong_size(
    picture: examples.Picture, scan: mask_scan.MaskScan
) -> str:
    stored = picture.width, picture.height
    size = mask_scan.measure_upright(picture)
    if mask_scan.list_orientations(picture, scan):
        return ""
    tag = " after it is turned upright by its EXIF tag"
    return (
        f"{picture.label.path} is {scan.width} x {scan.height}, its picture "
        f"{picture.path} is {size[0]} x {size[1]}"
        + ("" if size == stored else tag)
    )


def _make_mask(
    picture: examples.Picture,
    scan: mask_scan.MaskScan,
    orientation: int,
    scheme: mask_values.ValueMap,
    folder: pathlib.Path,
) -> examples.Mask:
    # The last number is that of ignored pixels.
    pixels = [0] * (len(scheme.names) + 1)
    for value, count in scan.pixels.items():
        index = scheme.indices[value]
        pixels[-1 if index == mask_files.IGNORED_INDEX else index] += count
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
    scheme: mask_values.ValueMap,
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
        write = functools.partial(_write_mask, scheme=scheme)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            written = pool.map(write, todo.values())
            for _ in progress.track(
                written, total=len(todo), title="Writing masks"
            ):
                pass
    except OSError as error:
        raise errors.RunError(
            f"Masks cannot be written to {folder}: "
            f"{error.strerror or error}. --cache_dir names another place."
        ) from error


def _write_mask(
    job: tuple[examples.Mask, int], scheme: mask_values.ValueMap
) -> None:
    mask, orientation = job
    content = pathlib.Path(mask.path).read_bytes()
    values = mask_files.read_values(
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
