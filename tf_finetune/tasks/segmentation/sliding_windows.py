"""Sliding-window prediction of large pictures at their own resolution."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

# Least weight of a pixel, relative to the middle of a window: at its very rim
# the raised cosine is nearly 0, and a picture's corner is in no other window.
_LEAST_WEIGHT = 1e-3


def predict_image(
    model: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    *,
    size: int,
    overlap: float = 0.5,
    batch_size: int = 8,
) -> np.ndarray:
    """Predicts a picture at its own resolution.

    Windows overlap and are blended by a weight that falls smoothly towards
    their rims, where a network sees least around a pixel; so there are no
    seams. A picture that is smaller than a window is padded by reflection.

    Args:
        model: float32 [n, size, size, 3] → [n, size, size, channels], e.g.
            probabilities.
        image: [height, width, 3], RGB 0..255.
        size: Side of a window, pixels.
        overlap: Share of a window that it has in common with the next one at
            least, 0 up to 1 exclusive.
        batch_size: Windows that are predicted together.

    Returns:
        float32 [height, width, channels].
    """
    height, width = image.shape[:2]
    larger = _pad_to_window(np.asarray(image, "float32"), size)
    rows = find_window_starts(larger.shape[0], size, overlap)
    columns = find_window_starts(larger.shape[1], size, overlap)
    weight = _build_weight(size)
    total, weights = None, np.zeros([*larger.shape[:2], 1], "float32")
    for places in _batch_places(itertools.product(rows, columns), batch_size):
        windows = np.stack(
            [larger[y : y + size, x : x + size] for y, x in places]
        )
        predictions = np.asarray(model(windows), "float32")
        if total is None:
            total = np.zeros(
                [*larger.shape[:2], predictions.shape[-1]], "float32"
            )
        for (y, x), prediction in zip(places, predictions, strict=True):
            total[y : y + size, x : x + size] += prediction * weight
            weights[y : y + size, x : x + size] += weight
    # The weighted mean of the windows that cover a pixel.
    return (total / weights)[:height, :width]


def find_window_starts(length: int, size: int, overlap: float) -> list[int]:
    """Returns the first pixel of each window along one side, evenly spread.

    Args:
        length: Of the picture's side, pixels, at least `size`.
        size: Of the window.
        overlap: Share that neighbours have in common at least.
    """
    # As few windows as keep the overlap; then spread evenly over the side.
    step = max(int(size * (1 - overlap)), 1)
    count = -(-(length - size) // step) + 1
    return np.linspace(0, length - size, count).round().astype(int).tolist()


def _pad_to_window(image: np.ndarray, size: int) -> np.ndarray:
    """Pads a picture by reflection to at least the size of a window."""
    missing = [max(size - side, 0) for side in image.shape[:2]]
    if not any(missing):
        return image
    return np.pad(
        image, [*((0, each) for each in missing), (0, 0)], "symmetric"
    )


def _build_weight(size: int) -> np.ndarray:
    """Returns the weights of a window: a raised cosine, [size, size, 1]."""
    # sin² at pixel centers: of windows half a side apart, sin² + cos² = 1.
    middle = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    middle = np.maximum(middle, _LEAST_WEIGHT)
    return np.outer(middle, middle)[..., np.newaxis].astype("float32")


def _batch_places(
    places: Iterator[tuple[int, int]], size: int
) -> Iterator[list[tuple[int, int]]]:
    while batch := list(itertools.islice(places, size)):
        yield batch
