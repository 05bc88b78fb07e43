"""Evaluation of masks picture by picture; the worst and best are drawn."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_finetune.config import picture_options
from tf_finetune.data import examples
from tf_finetune.data.masks import mask_files, mask_preparation
from tf_finetune.metrics import (
    candidate_selection,
    classification_metrics,
    segmentation_metrics,
)

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
    """Keeps the pictures whose predictions have the worst and best mean IoU.

    Args:
        count: How many of the worst are kept, and how many of the best.
    """

    def __init__(self, count: int = _COUNT) -> None:
        """Starts without pictures."""
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
            value: Its mean IoU, 0..1; NaN: it is not kept.
            path: The picture file.
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
        pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS,
    ) -> None:
        """Draws the pictures beside their true masks as PNG, the worst first.

        Args:
            class_names: Names in the order of the class indices.
            path: The file to write; none is written where nothing is kept.
            pixels: How the picture files are decoded.
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


class MaskEvaluator:
    """Evaluator of masks: counts pixels, keeps a few predictions to draw.

    Args:
        data: The pictures, with prepared masks.
        split: Name of the split.
        seed: Seed of the bootstrap of the interval.
    """

    def __init__(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> None:
        """Starts at the first picture of a split."""
        self._data = data
        self._split = split
        self._left = iter(data.split(split))
        self._extremes = Extremes()
        self._counter = segmentation_metrics.PixelCounter(len(data.class_names))
        self._losses: list[float] = []
        self._seed = seed

    def add(self, predictions: np.ndarray) -> None:
        """Adds predictions of the next pictures of the split.

        Args:
            predictions: [batch, size, size, classes] probabilities; they are
                resized to each picture before the class is taken.
        """
        from tf_finetune.data.masks import mask_resize  # Loads TensorFlow.

        for probabilities in predictions:
            picture = next(self._left)
            mask = picture.label
            indices = mask_preparation.read_indices(mask.indices)
            # Probabilities are resized to the picture, then the class is taken.
            predicted = mask_resize.compute_class_map_on_cpu(
                probabilities, *indices.shape, resize=self._data.resize
            )
            true = build_lookup(mask, self._data.class_names)[indices]
            value = self._counter.add(true, predicted)
            self._losses.append(
                compute_log_loss(true, probabilities, resize=self._data.resize)
            )
            self._extremes.add(
                value, picture.path, true=true, predicted=predicted
            )

    def figures(self) -> dict[str, Any]:
        """Computes all metrics of the pictures added, ready for JSON.

        See `segmentation_metrics.compute_metrics`.
        """
        return segmentation_metrics.compute_metrics(
            self._counter,
            class_names=self._data.class_names,
            seed=self._seed,
        )

    def evidence(self) -> candidate_selection.Evidence:
        """Builds results for the comparison of two models on these pictures.

        They are mean IoU as a function of bootstrap weights, and log losses.
        """
        counts = self._counter.pictures
        return candidate_selection.Evidence(
            figure="mean IoU",
            value=lambda weights: segmentation_metrics.mean_iou(
                counts.resample(weights)
            ),
            losses=np.array(self._losses),
            size=counts.hits.size,
        )

    def draw(self, folder: pathlib.Path) -> None:
        """Draws the worst and best pictures to `folder`/examples_SPLIT.png."""
        self._extremes.draw(
            self._data.class_names,
            folder / f"examples_{self._split}.png",
            pixels=self._data.pixels,
        )


def compute_log_loss(
    true: np.ndarray,
    probabilities: np.ndarray,
    *,
    resize: picture_options.Resize,
) -> float:
    """Computes the mean log loss of a picture's pixels, at the model's size.

    Args:
        true: [height, width] class indices; 255 is ignored.
        probabilities: [size, size, classes].
        resize: How the picture became square, a value of `--resize`.

    Returns:
        Value of at least 0; NaN where all pixels are ignored at that size.
    """
    import tensorflow as tf

    from tf_finetune.data.masks import mask_resize

    # The true mask is resized, not the probabilities: the loss of training is
    # computed at this size, too.
    size, _, classes = probabilities.shape
    with tf.device("CPU"):
        square = mask_resize.resize_mask(
            tf.constant(true), image_size=size, resize=resize
        ).numpy()
    counted = square < classes
    if not counted.any():
        return np.nan
    return classification_metrics.log_loss(
        square[counted], probabilities[counted]
    )


def build_lookup(mask: examples.Mask, names: Sequence[str]) -> np.ndarray:
    """Builds a lookup table from a mask's class indices to those in `names`.

    Args:
        mask: Mask whose `names` are all among `names`.
        names: Names of the model's outputs.

    Returns:
        uint8 [256]; 255 (ignored) for all values that are not classes.
    """
    found = np.full(256, mask_files.IGNORED_INDEX, "uint8")
    found[: len(mask.names)] = find_class_indices(mask, names)[:-1]
    return found


def find_class_indices(mask: examples.Mask, names: Sequence[str]) -> np.ndarray:
    """Finds the index in `names` of each class of a mask.

    Args:
        mask: Mask whose `names` are all among `names`.
        names: Names of the model's outputs.

    Returns:
        [classes of the mask + 1]; the last one, 255, is for ignored pixels.
    """
    places = [names.index(name) for name in mask.names]
    return np.array([*places, mask_files.IGNORED_INDEX])
