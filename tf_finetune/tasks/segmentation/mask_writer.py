"""Writer of predicted masks as files, at the pictures' own size."""

import collections
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options
from tf_finetune.data.images import decoding
from tf_finetune.data.masks import mask_resize
from tf_finetune.tasks.segmentation import answers, mask_images

TABLE = "predictions.csv"
# Least weight of a pixel, relative to the middle of a window: at its very rim
# the raised cosine is nearly 0, and a picture's corner is in no other window.
_LEAST_WEIGHT = 1e-3


class MaskFiles:
    """Writer of the predicted mask and an overlay of each picture.

    It writes `masks/NAME.png`, whose pixel values are line numbers in
    labels.txt from 0 on (with a palette, so that viewers show colors), and
    `overlays/NAME.png`, the picture with its mask blended over it.

    Args:
        paths: Picture files, in the order of the predictions.
        names: Names of the classes.
        folder: Where the files are written.
        resize: How the pictures became square, a value of `--resize`.
        top_k: How many classes a row lists.
        pixels: How the picture files are decoded.
    """

    table = TABLE

    def __init__(
        self,
        paths: Sequence[str],
        names: Sequence[str],
        *,
        folder: pathlib.Path,
        resize: picture_options.Resize,
        top_k: int,
        pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS,
    ) -> None:
        """Prepares the writer; the first prediction is that of `paths[0]`."""
        self._paths = list(paths)
        self._stems = build_unique_stems(paths)
        self._names = names
        self._folder = pathlib.Path(folder)
        self._resize = resize
        self._top_k = top_k
        self._pixels = pixels

    def write_squares(
        self, batches: Iterator[np.ndarray]
    ) -> Iterator[answers.Answer]:
        """Writes masks from predictions of the pictures made square.

        Args:
            batches: Probabilities [batch, size, size, classes], in the order
                of the paths.

        Yields:
            The row of each picture, once its files are written.
        """
        left = iter(range(len(self._paths)))
        for batch in batches:
            for probabilities in batch:
                number = next(left)
                image = _load_image(self._paths[number], self._pixels)
                mask = mask_resize.compute_class_map_on_cpu(
                    probabilities, *image.shape[:2], resize=self._resize
                )
                yield self._write_files(number, image, mask)

    def write_windows(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        *,
        size: int,
        overlap: float,
    ) -> Iterator[answers.Answer]:
        """Writes masks predicted in overlapping windows.

        Args:
            predict: Pictures [batch, size, size, 3] → probabilities [batch,
                size, size, classes].
            size: Side of the model's input in pixels.
            overlap: Share that neighboring windows have in common, 0 up to 1
                exclusive.

        Yields:
            The row of each picture, once its files are written.
        """
        # One picture at a time: each may be large.
        for number, path in enumerate(self._paths):
            image = _load_image(path, self._pixels)
            found = predict_image(predict, image, size=size, overlap=overlap)
            mask = found.argmax(axis=-1).astype("uint8")
            yield self._write_files(number, image, mask)

    def _write_files(
        self, number: int, image: np.ndarray, mask: np.ndarray
    ) -> answers.Answer:
        name = f"{self._stems[number]}.png"
        mask_path = self._folder / "masks" / name
        overlay_path = self._folder / "overlays" / name
        mask_images.write_mask(mask_path, mask)
        mask_images.write_picture(
            overlay_path, mask_images.overlay_mask(image, mask)
        )
        return answers.Answer(
            path=self._paths[number],
            shares=answers.compute_shares(mask, self._names)[: self._top_k],
            mask=str(mask_path),
            overlay=str(overlay_path),
        )


def build_unique_stems(paths: Sequence[str]) -> list[str]:
    """Builds a unique file name for each path, without its suffix.

    Folders below the deepest common one are kept, so that a name may hold
    slashes; suffixes are kept where two files differ in nothing else.

    Returns:
        One name per path, in order.
    """
    folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
    # "train/cat/1.jpg" and "train/dog/1.jpg" become "cat/1" and "dog/1".
    top = os.path.commonpath(folders) if folders else ""
    names = [os.path.relpath(os.path.abspath(path), top) for path in paths]
    short = [os.path.splitext(name)[0] for name in names]
    counts = collections.Counter(short)
    return [
        stem if counts[stem] == 1 else name
        for stem, name in zip(short, names, strict=True)
    ]


def _load_image(path: str, pixels: picture_options.PixelOptions) -> np.ndarray:
    with tf.device("CPU"):
        contents = tf.io.read_file(os.fsencode(path))
        return decoding.decode(contents, pixels=pixels).numpy()


def predict_image(
    model: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    *,
    size: int,
    overlap: float = 0.5,
    batch_size: int = 8,
) -> np.ndarray:
    """Predicts a picture at its own resolution by a sliding window.

    Windows overlap and are blended by a weight that falls smoothly towards
    their rims, where a network sees least around a pixel; so there are no
    seams. A picture that is smaller than a window is padded by reflection.

    Args:
        model: float32 [n, size, size, 3] → [n, size, size, channels], such as
            probabilities.
        image: [height, width, 3], RGB 0..255.
        size: Side of a window in pixels.
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
    """Finds the first pixel of each window along one side, evenly spread.

    Args:
        length: Side of the picture in pixels, at least `size`.
        size: Side of the window in pixels.
        overlap: Share that neighbors have in common at least, 0 up to 1
            exclusive.

    Returns:
        Ascending, from 0 to `length` - `size`.
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
