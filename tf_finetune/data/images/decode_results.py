"""Decode results of pictures, cached by content so that it is done once.

A result is the reason why a picture cannot be used, or else its appearance, a
summary of low resolution.
"""

import base64
import binascii
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import files
from tf_finetune.config import picture_options
from tf_finetune.data.images import decoding, file_kinds

_VERSION = 1  # Of what is kept about a picture.

# A picture is divided into 8 x 8 cells; bytes of both summaries of them.
_CELLS = 8
_MEANS, _POINTS = 3 * _CELLS**2, _CELLS**2

# Of the pixels of a 16-bit picture; a thousandth may be defects of a sensor.
_HIGH_PERCENTILE = 99.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Appearance:
    """Summary statistics of a picture as the model will see it.

    Attributes:
        means: Mean red, green and blue of 8 x 8 cells: 192 bytes, 0..255, row
            by row.
        points: Gray values of the pixels in the middle of the cells: 64 bytes,
            0..255, row by row.
        deviation: Largest standard deviation of a channel's pixels, 0..255.
        stored: For a 16-bit picture its lowest and highest value and the one
            that 99.9 % of the pixels do not exceed; for others empty.
        is_transparent: Whether its file declares transparent pixels.
    """

    means: bytes
    points: bytes
    deviation: float
    stored: tuple[int, ...] = ()
    is_transparent: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodeResult:
    """Result of decoding one picture: usable with its appearance, or not.

    Attributes:
        reason: Why the picture cannot be used; None: it can.
        is_lasting: Whether the same bytes will always give this result, so
            that it may be cached.
        look: Summary of the pixels; None if the picture cannot be used.
        image: float32 [size, size, 3], 0..255, if it was decoded just now;
            None if the result comes from the cache.
    """

    reason: str | None
    is_lasting: bool = True
    look: Appearance | None = None
    image: tf.Tensor | None = None


def make_store_path(
    cache_dir: pathlib.Path, square: picture_options.Square
) -> pathlib.Path:
    """Returns the path of the JSON file in which decode results are cached.

    Results depend on the version of the decoder, on the options and on the
    version of TensorFlow; each combination has a file of its own.

    Args:
        cache_dir: Cache directory shared between runs.
        square: How pictures become square; its size does not count.
    """
    name = (
        # Everything that may change if a picture decodes, or how it looks.
        f"decoder-{decoding.VERSION}.{_VERSION}-{square.resize}-"
        f"{square.pixels.key}-tensorflow-{tf.__version__}.json"
    )
    return pathlib.Path(cache_dir) / "verdicts" / name


def read_results(path: pathlib.Path) -> dict[str, DecodeResult]:
    """Returns the cached results by SHA-256 of the picture file.

    A missing file gives {}; so does a damaged one, with a logged warning.

    Args:
        path: The file that `make_store_path` names.
    """
    try:
        entries = files.read_json(path)
        return {name: _from_json(entry) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        logging.warning("%s cannot be read and is ignored: %s", path, error)
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        logging.warning(
            "%s holds no decoding results and is ignored: %s", path, error
        )
    return {}


def merge_results(
    path: pathlib.Path, fresh: Mapping[str, DecodeResult]
) -> None:
    """Adds results to those in the cache file and writes it atomically.

    If the file cannot be written, that is logged. Of two runs that write at
    once, one may lose its results.

    Args:
        path: The file that `make_store_path` names.
        fresh: New results by SHA-256 of the picture file.
    """
    both = read_results(path) | dict(fresh)
    entries = {name: _to_json(verdict) for name, verdict in both.items()}
    try:
        files.write_json(path, entries)
    except OSError as error:
        logging.warning("%s cannot be written: %s", path, error)


def measure_appearance(
    image: np.ndarray,
    contents: bytes,
    *,
    resize: picture_options.Resize,
    stored: np.ndarray | None = None,
) -> Appearance:
    """Computes the summary statistics of a decoded picture.

    Args:
        image: float32 [size, size, 3], 0..255; size at least 8.
        contents: Bytes of its file.
        resize: How it became square; black bars that "pad" added do not
            count in the deviation.
        stored: For a 16-bit picture its values as in the file, uint16
            [height, width, channels]; None for others.
    """
    edges = np.linspace(0, len(image), _CELLS + 1).astype(int)
    sizes = np.diff(edges)
    means = _sum_cells(image, edges) / np.outer(sizes, sizes)[..., np.newaxis]
    middle = edges[:-1] + sizes // 2
    points = image[middle][:, middle].mean(axis=-1)
    seen = _crop_bars(image) if resize == "pad" else image
    # Over places, not over channels: a color all over the picture is constant.
    deviation = _measure_deviation(seen) if seen.size else 0.0
    return Appearance(
        means=_convert_to_bytes(means),
        points=_convert_to_bytes(points),
        deviation=round(deviation, 3),
        stored=() if stored is None else _measure_range(stored),
        is_transparent=file_kinds.has_alpha(contents),
    )


def to_json(look: Appearance) -> dict[str, Any]:
    """Returns an appearance as a dictionary of plain values, ready for JSON."""
    both = base64.b64encode(look.means + look.points).decode("ascii")
    return {
        "pixels": both,
        "deviation": look.deviation,
        "stored": list(look.stored),
        "is_transparent": look.is_transparent,
    }


def from_json(entry: Mapping[str, Any]) -> Appearance:
    """Returns the appearance in a dictionary that `to_json` returned.

    Raises:
        ValueError: It is not such a dictionary.
    """
    try:
        both = base64.b64decode(entry["pixels"], validate=True)
        stored = tuple(int(each) for each in entry["stored"])
        look = Appearance(
            means=both[:_MEANS],
            points=both[_MEANS:],
            deviation=float(entry["deviation"]),
            stored=stored,
            is_transparent=entry["is_transparent"] is True,
        )
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError("no look of a picture") from error
    if len(both) != _MEANS + _POINTS or len(stored) not in (0, 3):
        raise ValueError("no look of a picture")
    return look


def _to_json(verdict: DecodeResult) -> dict[str, Any]:
    look = verdict.look and to_json(verdict.look)
    return {"reason": verdict.reason, "look": look}


def _from_json(entry: Mapping[str, Any]) -> DecodeResult:
    reason, look = entry["reason"], entry["look"]
    # A picture has a reason or a look, never both.
    if not isinstance(reason, str | None) or (reason is None) != bool(look):
        raise ValueError("an entry is no verdict")
    return DecodeResult(reason=reason, look=from_json(look) if look else None)


def _sum_cells(image: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Sums the pixels of each cell, [cells, cells, channels]."""
    # Rows first, with their channels side by side: NumPy adds long rows eight
    # times faster than triples.
    rows = image.reshape(len(image), -1)
    strips = np.add.reduceat(rows, edges[:-1], axis=0)
    strips = strips.reshape(len(strips), *image.shape[1:])
    return np.add.reduceat(strips, edges[:-1], axis=1)


def _measure_deviation(image: np.ndarray) -> float:
    """Computes the largest standard deviation of a channel, of 255."""
    height, width, channels = image.shape
    # Var x = E(x - a)² - (E(x - a))²; with the first pixel as a, a constant
    # picture has exactly 0.
    shifted = image.reshape(height, -1) - np.tile(image[0, 0], width)
    sums = shifted.sum(axis=0).reshape(-1, channels)
    squares = np.einsum("ij,ij->j", shifted, shifted).reshape(-1, channels)
    mean, square = (
        each.sum(axis=0, dtype="float64") / (height * width)
        for each in (sums, squares)
    )
    return float(np.sqrt(np.maximum(square - mean**2, 0).max()))


def _convert_to_bytes(values: np.ndarray) -> bytes:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8).tobytes()


def _crop_bars(image: np.ndarray) -> np.ndarray:
    """Cuts off the black rows and columns at the edges."""
    lit = image.reshape(len(image), -1)
    rows = lit.any(axis=1).nonzero()[0]
    columns = lit.any(axis=0).reshape(-1, image.shape[-1]).any(axis=1)
    columns = columns.nonzero()[0]
    if not len(rows):
        return image[:0]
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _measure_range(stored: np.ndarray) -> tuple[int, ...]:
    channels = stored.shape[-1]
    colors = stored[..., : channels - 1] if channels in (2, 4) else stored
    # Colors below transparent pixels are arbitrary and not seen.
    if channels in (2, 4) and (seen := stored[..., -1] > 0).any():
        colors = colors[seen]
    # "lower": a value that occurs, not one between two.
    most = np.percentile(colors, _HIGH_PERCENTILE, method="lower")
    return int(colors.min()), int(colors.max()), int(most)
