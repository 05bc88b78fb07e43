"""Warnings about decoded pictures that look wrong.

Files may be whole and yet hold nothing to learn from: values of 12 bits that
are black in 16, white drawings on a white background, one picture many times.
"""

from collections.abc import Sequence

import numpy as np
from absl import logging

from tf_finetune.config import picture_options
from tf_finetune.data.images import png_webp_bmp_files, verification

_MAX_SHOWN = 10

# Of 255. A speck of one pixel, black on white, on 224 x 224 has 1.1.
_BLANK_DEVIATION = 1.0

# Of 255: what rounding and the losses of a JPEG change in the mean of a cell
# and in a single pixel.
_MEAN_TOLERANCE, _POINT_TOLERANCE = 2, 6

# Share of the 16-bit range. Values of 14 bits use 0.25 of it.
_NARROW_SHARE = 0.3
# Over the pictures; a tenth may hold larger values than the range found.
_RANGE_QUANTILE = 0.9

# Pairs of pictures that are compared at a time, to bound memory.
_BLOCK_SIZE = 65536


def warn_of_oddities(
    seen: Sequence[verification.VerifiedPicture],
    *,
    pixels: picture_options.PixelOptions,
    compare: bool = True,
) -> None:
    """Logs warnings on value ranges, blank pictures and near-duplicates.

    Args:
        seen: The usable pictures; of files with equal bytes only one.
        pixels: Background and 16-bit range with which they were decoded.
        compare: Whether pictures that look alike are searched for.
    """
    _warn_of_range(seen, pixels)
    blank = [each for each in seen if each.look.deviation < _BLANK_DEVIATION]
    _warn_of_blank(blank, len(seen), pixels)
    if compare:
        rest = [
            each for each in seen if each.look.deviation >= _BLANK_DEVIATION
        ]
        _warn_of_duplicates(rest)


def _warn_of_range(
    seen: Sequence[verification.VerifiedPicture],
    pixels: picture_options.PixelOptions,
) -> None:
    wide = [each.look.stored for each in seen if each.look.stored]
    if pixels.bounds and seen and not wide:
        logging.warning(
            "--pixel_range=%d,%d changes nothing: none of the pictures has 16 "
            "bits.",
            *pixels.bounds,
        )
    if pixels.pixel_range != "auto" or not wide:
        return
    lows, highs, most = np.array(wide).T
    low, high = int(lows.min()), int(np.quantile(most, _RANGE_QUANTILE))
    share = (high - low + 1) / (picture_options.MAX_PIXEL_VALUE + 1)
    if share > _NARROW_SHARE:
        return
    is_all = (
        highs.max() - low <= _NARROW_SHARE * picture_options.MAX_PIXEL_VALUE
    )
    high = int(highs.max()) if is_all else high
    logging.warning(
        "The %s of 16 bits%s the values %d to %d, %.2g %% of 0..65535. Only "
        "the upper 8 bits are kept, so that these values become nearly one "
        "shade. Training with --pixel_range=%s scales them to black..white; "
        "--pixel_range=full keeps them as they are, without this warning.",
        "picture" if len(wide) == 1 else f"{len(wide)} pictures",
        _choose_verb(len(wide), "" if is_all else " nearly always"),
        low,
        high,
        100 * share,
        _suggest_range(low, high),
    )


def _choose_verb(count: int, how: str) -> str:
    return f"{how} {'uses' if count == 1 else 'use'}"


def _suggest_range(low: int, high: int) -> str:
    """Returns a --pixel_range: that of the bits needed, or of the values."""
    if low > high // 2:
        return f"{low},{max(high, low + 1)}"
    return f"0,{2 ** max(high.bit_length(), 1) - 1}"


def _warn_of_blank(
    blank: Sequence[verification.VerifiedPicture],
    count: int,
    pixels: picture_options.PixelOptions,
) -> None:
    if not blank:
        return
    advice = ""
    if clear := sum(each.look.is_transparent for each in blank):
        others = [
            each
            for each in png_webp_bmp_files.BACKGROUND_VALUES
            if each != pixels.background
        ]
        advice = (
            f" {clear} of them have transparency, and may be of the color of "
            f"--background={pixels.background}: training with --background="
            f"{' or --background='.join(others)} shows what is in them."
        )
    logging.warning(
        "%d of %d pictures %s a single color, or nearly: %s.%s",
        len(blank),
        count,
        "is" if len(blank) == 1 else "are",
        _format_paths([each.picture.path for each in blank]),
        advice,
    )


def _warn_of_duplicates(seen: Sequence[verification.VerifiedPicture]) -> None:
    groups = _find_duplicates(seen)
    if not groups:
        return
    count = sum(len(group) for group in groups)
    labels = sum(
        len({repr(each.picture.label) for each in group}) > 1
        and isinstance(group[0].picture.label, str)
        for group in groups
    )
    logging.warning(
        "%d different files decode to the same pixels as another one, or "
        "nearly: %s.%s A copy in another split inflates its metrics.",
        count,
        _format_groups(groups),
        f" {labels} such sets have different labels."
        if labels > 1
        else " One such set has different labels."
        if labels
        else "",
    )


def _find_duplicates(
    seen: Sequence[verification.VerifiedPicture],
) -> list[list[verification.VerifiedPicture]]:
    """Returns sets of near-identical pictures.

    Pictures are sorted by what they look like from afar, in steps of 16 of
    255, four times with the steps elsewhere, and neighbors are compared.
    """
    if len(seen) < 2:
        return []
    means, points = (
        np.array([list(getattr(each.look, name)) for each in seen], np.uint8)
        for name in ("means", "points")
    )
    # 4 x 4 cells of one shade.
    coarse = means.reshape(len(seen), 4, 2, 4, 2, 3).mean(axis=(2, 4, 5))
    coarse = coarse.reshape(len(seen), 16)
    parents = np.arange(len(seen))
    for offset in range(0, 16, 4):
        # A step's border divides pictures that are alike; at another offset
        # they fall into one step.
        codes = ((coarse + offset) // 16).astype(np.uint8)
        _, places = np.unique(codes, axis=0, return_inverse=True)
        # The last key of lexsort counts first: by step, then by brightness.
        order = np.lexsort((coarse.sum(axis=1), places.ravel()))
        # Each picture against the next and the next but one in this order.
        for step in (1, 2):
            for first, second in _find_similar_pairs(
                order, step, means, points
            ):
                parents[_find_root(parents, second)] = _find_root(
                    parents, first
                )
    sets: dict[int, list[verification.VerifiedPicture]] = {}
    for place, each in enumerate(seen):
        sets.setdefault(_find_root(parents, place), []).append(each)
    return [group for group in sets.values() if len(group) > 1]


def _find_similar_pairs(
    order: np.ndarray, step: int, means: np.ndarray, points: np.ndarray
) -> list[tuple[int, int]]:
    """Returns the neighbors in an order that look alike."""
    found = []
    for start in range(0, len(order) - step, _BLOCK_SIZE):
        first = order[start : start + _BLOCK_SIZE][: len(order) - step - start]
        second = order[start + step : start + step + len(first)]
        same = _compare_values(means, first, second, _MEAN_TOLERANCE)
        same &= _compare_values(points, first, second, _POINT_TOLERANCE)
        found += zip(first[same].tolist(), second[same].tolist(), strict=True)
    return found


def _compare_values(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, most: int
) -> np.ndarray:
    # Signed: differences of bytes may be negative.
    difference = values[first].astype(np.int16) - values[second]
    return (abs(difference) <= most).all(axis=1)


def _find_root(parents: np.ndarray, place: int) -> int:
    while parents[place] != place:
        # Union-find with path halving.
        parents[place] = parents[parents[place]]
        place = parents[place]
    return place


def _format_paths(paths: Sequence[str]) -> str:
    names = [each if each.isprintable() else ascii(each) for each in paths]
    more = len(names) - _MAX_SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return ", ".join(names[:_MAX_SHOWN]) + rest


def _format_groups(
    groups: Sequence[Sequence[verification.VerifiedPicture]],
) -> str:
    """Returns the first files, those that look alike joined by "="."""
    shown, left = [], _MAX_SHOWN
    total = sum(len(group) for group in groups)
    for group in groups:
        if left < 2:
            break
        paths = [each.picture.path for each in group[:left]]
        left -= len(paths)
        shown.append(
            " = ".join(p if p.isprintable() else ascii(p) for p in paths)
        )
    more = total - (_MAX_SHOWN - left)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
