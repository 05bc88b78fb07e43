"""Worst and best predicted pictures of a split, kept to be drawn."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_finetune.config import model_options

_COUNT = 3  # Of the worst, and of the best.


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Picture:
    """A picture with its masks and its mean IoU.

    Attributes:
        value: Mean IoU.
        number: In the order of the split; decides between equal values.
        path: Of the picture.
        true: [height, width] class indices, 255 is ignored.
        predicted: [height, width] class indices.
    """

    value: float
    number: int
    path: str
    true: np.ndarray
    predicted: np.ndarray


class Extremes:
    """Keeps the predictions of a few pictures, however many there are."""

    def __init__(self, count: int = _COUNT) -> None:
        """Starts without pictures.

        Args:
            count: How many of the worst are kept, and of the best.
        """
        self._count = count
        self._number = 0
        self._kept: list[_Picture] = []

    def add(
        self,
        value: float,
        path: str,
        *,
        true: np.ndarray,
        predicted: np.ndarray,
    ) -> None:
        """Keeps a picture if it is among the worst or best so far.

        Args:
            value: Its mean IoU; NaN: it is not kept.
            path: Of the picture.
            true: [height, width] class indices, 255 is ignored.
            predicted: [height, width] class indices.
        """
        self._number += 1
        if np.isnan(value):
            return
        self._kept.append(
            _Picture(
                value=value,
                number=self._number,
                path=path,
                true=true,
                predicted=predicted,
            )
        )
        self._kept.sort(key=lambda each: (each.value, each.number))
        # Sorted by IoU: the first one behind the worst is the one to drop.
        if len(self._kept) > 2 * self._count:
            del self._kept[self._count]

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of the pictures that are kept, the worst first."""
        return tuple(each.path for each in self._kept)

    def draw(
        self,
        class_names: Sequence[str],
        path: pathlib.Path,
        *,
        pixels: model_options.PixelOptions = model_options.DEFAULT_PIXELS,
    ) -> None:
        """Draws the pictures beside their true masks, the worst first, as PNG.

        Args:
            class_names: In the order of the indices.
            path: The file to write; none is written where nothing is kept.
            pixels: How the files of pictures are decoded.
        """
        # Take a while to load, and not every command draws.
        import tensorflow as tf

        from tf_finetune.data.images import decoding
        from tf_finetune.tasks.segmentation import mask_images

        shown = []
        for place, each in enumerate(self._kept):
            which = "worst" if 2 * place < len(self._kept) else "best"
            with tf.device("CPU"):
                data = tf.io.read_file(os.fsencode(each.path))
                image = decoding.decode(data, pixels=pixels).numpy()
            name = pathlib.PurePath(each.path).name
            shown.append(
                mask_images.Example(
                    title=f"{which}: {name}, mean IoU {each.value:.2f}",
                    image=image,
                    true=each.true,
                    predicted=each.predicted,
                )
            )
        if shown:
            mask_images.draw_comparison(shown, class_names, path)
