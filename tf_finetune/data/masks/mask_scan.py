"""Scan of every mask: its size, orientation and pixels of each value."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from absl import logging
from PIL import Image

from tf_finetune import files
from tf_finetune.data import examples, progress
from tf_finetune.data.masks import mask_files, smoothing_artifacts

VERSION = 3
"""To be raised whenever the same file is read otherwise than before."""

_MAX_VALUES = 256  # Of one mask: 255 classes and "ignored".
# Different values in a mask; so few have nothing between them.
_UNSMOOTHED_VALUES = 2
_BLOCK_SIZE = 256  # Masks in the pool at a time; `map` submits all at once.
_MAX_BYTES = 4 << 30

_MAX_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskScan:
    """Size and pixel counts of one mask file.

    Attributes:
        sha256: Hexadecimal SHA-256 of the file's bytes.
        width: In pixels, as stored; 0 if it cannot be read.
        height: In pixels, as stored.
        orientation: Value 1..8 of its EXIF tag; 1: upright, or no tag.
        alpha: Role of the alpha channel: "mask" (it holds the numbers),
            "opaque" or "none", as `mask_files.detect_alpha_use` finds it.
        pixels: Number of pixels by value; values as `mask_files.read_values`
            returns them.
        smoothed: How many of these look as smoothing leaves them; see
            `smoothing_artifacts.count_smoothed`.
        problem: Why it is no mask; empty if it is one.
    """

    sha256: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 1
    alpha: mask_files.AlphaUse = "none"
    pixels: Mapping[int, int] = dataclasses.field(default_factory=dict)
    smoothed: Mapping[int, int] = dataclasses.field(default_factory=dict)
    problem: str = ""


def scan_masks(
    paths: Sequence[str], *, cache_dir: pathlib.Path, by_color: bool
) -> list[MaskScan]:
    """Scans masks on all cores; files of equal content only once.

    Args:
        paths: Mask files.
        cache_dir: Cache directory; scans are kept in verdicts/ in it. One that
            cannot be read or written costs time only.
        by_color: Whether the values are colors, 0xRRGGBB, not numbers.

    Returns:
        One scan per path, in their order; a file that is no mask has its
        `problem` filled, and nothing is raised.
    """
    kind = "color" if by_color else "number"
    store = cache_dir / "verdicts" / f"masks-{VERSION}-{kind}.json"
    known = _read_store(store)
    found = list(
        progress.track(
            _scan_all(paths, known, by_color),
            total=len(paths),
            title="Scanning masks",
        )
    )
    fresh = {
        each.sha256: dataclasses.asdict(each)
        for each in found
        if each.sha256 and each.sha256 not in known
    }
    if fresh:
        _merge_store(store, fresh)
    return _mark_opaque(found)


def measure_upright(picture: examples.Picture) -> tuple[int, int]:
    """Returns a picture's (width, height) in pixels after EXIF rotation."""
    size = picture.width, picture.height
    # A square has equal sides in every orientation: no file is opened.
    if picture.width == picture.height:
        return size
    return mask_files.turn_size(*size, _read_picture_orientation(picture))


def list_orientations(picture: examples.Picture, scan: MaskScan) -> list[int]:
    """Returns EXIF orientations that give a mask its picture's size.

    A mask has the tag of its picture, one of its own, or none: then it was
    drawn on the upright picture, or on the pixels as they are stored.

    Returns:
        Values 1..8, the likeliest first; empty if the mask does not fit.
    """
    candidates = [scan.orientation, _read_picture_orientation(picture), 1]
    return [
        each
        for each in dict.fromkeys(candidates)
        if mask_files.turn_size(scan.width, scan.height, each)
        == measure_upright(picture)
    ]


def warn_of_unclear(
    pictures: Sequence[examples.Picture],
    scans: Sequence[MaskScan],
    fitting: Sequence[list[int]],
) -> None:
    """Logs which masks were rotated, and warns of those that fit in two ways.

    Args:
        pictures: Pictures whose labels are masks.
        scans: Scans of their masks, in the same order.
        fitting: For each the result of `list_orientations`, not empty.
    """
    triples = list(zip(pictures, scans, fitting, strict=True))
    turned = sum(fits[0] != scan.orientation for _, scan, fits in triples)
    if turned:
        logging.info(
            "%d masks are rotated by the EXIF tags of their pictures, as their "
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
    more = len(unclear) - _MAX_SHOWN
    logging.warning(
        "%s no EXIF orientation tag, unlike the picture. Masks without a tag "
        "are assumed to be drawn on the upright picture: %s%s. A mask drawn "
        "on the pixels as they are stored needs the tag, too.",
        "1 mask has" if len(unclear) == 1 else f"{len(unclear)} masks have",
        ", ".join(unclear[:_MAX_SHOWN]),
        f" and {more} more" if more > 0 else "",
    )


def _mark_opaque(found: list[MaskScan]) -> list[MaskScan]:
    """Marks opaque masks whose values may be in the colors or in alpha.

    A mask that is opaque everywhere may be one of colors, or one in alpha
    that is 255 everywhere. Beside others in alpha that matters.
    """
    count = sum(each.alpha == "mask" for each in found)
    if not count:
        return found
    problem = (
        f"its alpha channel is opaque everywhere, while {count} other masks "
        "are in their alpha channel: save the alpha channels as gray PNGs"
    )
    return [
        dataclasses.replace(each, problem=problem)
        if each.alpha == "opaque"
        else each
        for each in found
    ]


def _scan_all(
    paths: Sequence[str], known: Mapping[str, dict], by_color: bool
) -> Iterator[MaskScan]:
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), _BLOCK_SIZE):
            block = paths[start : start + _BLOCK_SIZE]
            yield from pool.map(lambda p: _scan_one(p, known, by_color), block)


def _scan_one(path: str, known: Mapping[str, dict], by_color: bool) -> MaskScan:
    try:
        content = files.read_bytes(path, limit=_MAX_BYTES)
    except OSError as error:
        return MaskScan(problem=f"it cannot be read: {error.strerror or error}")
    digest = hashlib.sha256(content).hexdigest()
    # An entry that is not one of ours is made anew.
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        return _parse_entry(known[digest])
    try:
        values = mask_files.read_values(content, by_color=by_color)
    except mask_files.UnreadableMaskError as error:
        return MaskScan(sha256=digest, problem=str(error))
    distinct, counts = np.unique(values, return_counts=True)
    problem, smoothed = "", {}
    if len(distinct) > _MAX_VALUES:
        problem = (
            f"it has {len(distinct)} different values, more than there can "
            "be classes: is it a photograph, or were its edges smoothed, by "
            "scaling or JPEG? Masks are scaled with nearest neighbor and "
            "saved as PNG"
        )
        # The counts of a photograph's colors would swell the file.
        distinct = counts = distinct[:0]
    elif len(distinct) > _UNSMOOTHED_VALUES:
        smoothed = smoothing_artifacts.count_smoothed(values, by_color=by_color)
    return MaskScan(
        sha256=digest,
        width=values.shape[1],
        height=values.shape[0],
        orientation=mask_files.read_orientation(content),
        alpha=mask_files.detect_alpha_use(content),
        pixels=dict(zip(distinct.tolist(), counts.tolist(), strict=True)),
        smoothed=smoothed,
        problem=problem,
    )


def _parse_entry(entry: Mapping) -> MaskScan:
    counts = {
        # JSON has text keys only.
        key: {int(value): count for value, count in entry[key].items()}
        for key in ("pixels", "smoothed")
    }
    return MaskScan(**(entry | counts))


def _read_store(store: pathlib.Path) -> dict[str, dict]:
    try:
        return dict(files.read_json(store))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        logging.warning("%s cannot be read and is ignored: %s", store, error)
        return {}


def _merge_store(store: pathlib.Path, fresh: Mapping[str, dict]) -> None:
    """Adds findings; of two runs at once, one may lose its own."""
    try:
        files.write_json(store, _read_store(store) | dict(fresh))
    except OSError as error:
        logging.warning("%s cannot be written: %s", store, error)


def _read_picture_orientation(picture: examples.Picture) -> int:
    try:
        with Image.open(picture.path) as image:
            return mask_files.read_exif_orientation(image)
    except Exception:  # Pillow raises whatever its parsers meet.
        return 1  # A damaged tag counts as upright, as in `orientation`.
