"""Detection of mask values that smoothing left at the edges of classes.

A mask that was scaled with interpolation, or saved as JPEG at some time, holds
values between those of its classes along every edge. A class has areas: its
pixels have neighbors of their own value, or lie in lines. What smoothing
leaves has neither: a pixel is strictly between its two neighbors on one axis,
or equals none of the eight around it, which differ among themselves.
"""

import collections
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from tf_finetune import errors
from tf_finetune.data.masks import mask_files

# Of its pixels, for a value to be one that smoothing left.
_MIN_SMOOTHED_SHARE = 0.5
# Of all pixels; a value of more is no leftover.
_MAX_RARE_SHARE = 0.08
_MIN_ARTIFACTS = 2
_MAX_SHOWN = 20
# Share of the range of the values, and how many times as many pixels: so near
# to a class, a rarer value is what JPEG or bicubic scaling made of it.
_RIPPLE_DISTANCE, _RIPPLE_RATIO = 0.08, 4


class _MaskCounts(Protocol):
    """The counts of one mask that are needed here; `mask_scan.MaskScan`."""

    pixels: Mapping[int, int]
    smoothed: Mapping[int, int]


def count_smoothed(values: np.ndarray, *, by_color: bool) -> dict[int, int]:
    """Counts the pixels of each value that look like results of smoothing.

    Such a pixel has, between two opposite neighbors of different values, a
    third value within theirs; or it equals none of its eight neighbors, which
    differ among themselves.

    Args:
        values: int32 [height, width].
        by_color: Whether values are colors, 0xRRGGBB.

    Returns:
        Number of such pixels by value; values without any are absent.
    """
    channels = [values]
    if by_color:
        channels = [values >> 16, values >> 8 & 255, values & 255]
    # At the border a pixel is its own neighbor, and never between two.
    padded = np.pad(values, 1, mode="edge")
    found = _find_lone_pixels(padded)
    for axis in (0, 1):
        before, after, differs = _find_axis_neighbors(padded, values, axis)
        inside = differs & (before != after)
        for channel in channels:
            own = np.pad(channel, 1, mode="edge")
            low, high, _ = _find_axis_neighbors(own, channel, axis)
            # Linear interpolation stays between its neighbors in every channel.
            inside &= np.minimum(low, high) <= channel
            inside &= channel <= np.maximum(low, high)
        found |= inside
    distinct, counts = np.unique(values[found], return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def _find_artifacts(
    pixels: Mapping[int, int], smoothed: Mapping[int, int]
) -> list[int]:
    """Returns the values that smoothing left; empty if masks are intact.

    Args:
        pixels: By value, over all masks.
        smoothed: How many of them look smoothed.
    """
    total = sum(pixels.values())
    found = [
        value
        for value, counted in pixels.items()
        if counted <= _MAX_RARE_SHARE * total
        and smoothed.get(value, 0) > _MIN_SMOOTHED_SHARE * counted
    ]
    # A single rare value may be a small class; smoothing leaves many.
    is_many = len(found) >= max(_MIN_ARTIFACTS, len(pixels) - len(found))
    return sorted(found) if is_many else []


def check_not_smoothed(scans: Sequence[_MaskCounts], *, by_color: bool) -> None:
    """Raises `DataError` for masks that were smoothed, by scaling or JPEG.

    Args:
        scans: Scans of all masks.
        by_color: Whether values are colors, 0xRRGGBB.

    Raises:
        DataError: Some values are rare and occur only at edges; the message
            names the values that cover areas.
    """
    pixels: collections.Counter = collections.Counter()
    smoothed: collections.Counter = collections.Counter()
    for each in scans:
        pixels.update(each.pixels)
        smoothed.update(each.smoothed)
    left = _find_artifacts(pixels, smoothed)
    if not left:
        return
    lost = {*left}
    kept = [value for value, _ in pixels.most_common() if value not in lost]
    kept = _drop_ripples(kept, pixels, by_color=by_color)
    kind = "colors" if by_color else "values"
    shown = [
        str(mask_files.decode_color(value) if by_color else value)
        for value in kept[:_MAX_SHOWN]
    ]
    more = (
        f" and {len(kept) - _MAX_SHOWN} more" if len(kept) > _MAX_SHOWN else ""
    )
    raise errors.DataError(
        f"The masks hold {len(pixels)} {kind}, of which {len(left)} are rare "
        "and occur only at the edges of others: were the masks smoothed, by "
        f"scaling or by JPEG? The {kind} that cover areas are "
        f"{', '.join(shown)}{more}. Write the masks again without smoothing, "
        "as PNG and scaled with nearest neighbor; or set every pixel to the "
        f"nearest of these {kind} (docs/data.md shows how)."
    )


def _drop_ripples(
    kept: Sequence[int], pixels: Mapping[int, int], *, by_color: bool
) -> list[int]:
    """Drops values that are ripples of a more frequent one.

    Args:
        kept: The values that have areas, the most frequent first.
        pixels: By value.
        by_color: Whether values are codes of colors.
    """
    points = {
        value: np.array(mask_files.decode_color(value) if by_color else [value])
        for value in kept
    }
    # The widest channel: colors differ by their largest difference.
    span = np.ptp(np.array([*points.values()]), axis=0).max()
    found: list[int] = []
    for value in kept:
        is_ripple = any(
            np.abs(points[value] - points[other]).max()
            <= _RIPPLE_DISTANCE * span
            and pixels[other] >= _RIPPLE_RATIO * pixels[value]
            for other in found
        )
        if not is_ripple:
            found.append(value)
    return found


def _find_axis_neighbors(
    padded: np.ndarray, values: np.ndarray, axis: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns both neighbors on an axis, and where a pixel equals neither."""
    if axis == 0:
        before, after = padded[:-2, 1:-1], padded[2:, 1:-1]
    else:
        before, after = padded[1:-1, :-2], padded[1:-1, 2:]
    return before, after, (values != before) & (values != after)


def _find_lone_pixels(padded: np.ndarray) -> np.ndarray:
    """Marks pixels that equal none of eight neighbors, which differ."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    middle = padded[1:-1, 1:-1]
    around = [
        padded[row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
        if (row, column) != (1, 1)
    ]
    lone = np.ones(middle.shape, bool)
    same = np.ones(middle.shape, bool)
    for each in around:
        lone &= each != middle
        same &= each == around[0]
    return lone & ~same
