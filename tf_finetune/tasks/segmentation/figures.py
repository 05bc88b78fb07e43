"""Metrics of masks at the pictures' own resolution, and how they rank."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.config import model_options
from tf_finetune.data import examples
from tf_finetune.data.masks import mask_files, mask_preparation
from tf_finetune.metrics import (
    candidate_selection,
    classification_metrics,
    segmentation_metrics,
)
from tf_finetune.tasks.segmentation import (
    class_table,
    extreme_examples,
    mask_baselines,
)
from tf_finetune.workdir import json_schema


class Figures:
    """Ranks by mean IoU, ties by pixel accuracy."""

    higher_is_better = (
        "boundary_f1",
        "frequency_weighted_iou",
        "mean_accuracy",
        "mean_dice",
        "mean_iou",
        "pixel_accuracy",
    )
    lower_is_better = ()
    unbounded = ()

    def rank_epoch(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Ranks by validation mean IoU, ties by validation loss."""
        return (epoch["val_mean_iou"], -epoch["val_loss"])

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Orders results by mean IoU, ties by pixel accuracy.

        First mean IoU to four digits, so that rounding, by which a few pixels
        among millions may change their class, does not decide.
        """
        mean_iou = figures["mean_iou"]
        mean_iou = -math.inf if mean_iou is None else mean_iou
        return (round(mean_iou, 4), figures["pixel_accuracy"], mean_iou)

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Formats mean IoU and pixel accuracy."""
        return (
            f"mean IoU {figures['mean_iou']:.3f} "
            f"(pixel accuracy {figures['pixel_accuracy']:.3f})"
        )

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Describes the difference in mean IoU."""
        difference = figures["mean_iou"] - other["mean_iou"]
        return f"the difference in mean IoU is {difference:+.4f}"

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Returns mean IoU, its interval and pixel accuracy."""
        names = ("mean_iou", "mean_iou_interval", "pixel_accuracy")
        return {name: figures[name] for name in names}

    def judge(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> "MaskEvaluator":
        """Returns an accumulator that evaluates one picture after another."""
        return MaskEvaluator(data, split, seed=seed)

    def compute_baselines(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Computes the baselines: chance and the commonest training class."""
        pixels = described["masks"]["train"]["pixels"]
        trained_on = [pixels[name] for name in data.class_names]
        # From the counts that were made when masks were prepared.
        true = sum(
            np.bincount(
                _find_class_indices(picture.label, data.class_names)[:-1],
                picture.label.pixels[:-1],
                minlength=len(trained_on),
            )
            for picture in data.split(split)
        )
        commonest = data.class_names[int(np.argmax(trained_on))]
        return {
            "most_frequent_class": {
                **mask_baselines.compute_most_frequent_class(trained_on, true),
                "class": commonest,
            },
            "chance": mask_baselines.compute_chance(true),
        }

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats every split with its baselines, then the classes."""
        return class_table.format_results(figures)

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws the confusion matrix, in pixels."""
        # Takes a while to load, and not every command draws.
        from tf_finetune.drawing import result_plots

        result_plots.plot_confusion(
            figures["confusion_matrix"],
            names,
            folder / f"confusion_{split}.png",
            title=f"{split}: {self.format_brief(figures)} of "
            f"{figures['pictures']} pictures",
        )


FIGURES = Figures()


class MaskEvaluator:
    """Counts pixels, picture by picture; keeps a few predictions to draw."""

    def __init__(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> None:
        """Starts at the first picture of a split.

        Args:
            data: The pictures.
            split: Which of them.
            seed: Of the interval.
        """
        self._data = data
        self._split = split
        self._left = iter(data.split(split))
        self._extremes = extreme_examples.Extremes()
        self._counter = segmentation_metrics.PixelCounter(len(data.class_names))
        self._losses: list[float] = []
        self._seed = seed

    def add(self, predictions: np.ndarray) -> None:
        """Adds predictions of pictures, [batch, size, size, classes]."""
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
        """Returns the figures of all pictures added."""
        return segmentation_metrics.compute_metrics(
            self._counter,
            class_names=self._data.class_names,
            seed=self._seed,
        )

    def evidence(self) -> candidate_selection.Evidence:
        """Returns mean IoU of resampled pictures, and their log losses."""
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
        """Draws the worst and the best pictures beside their true masks."""
        self._extremes.draw(
            self._data.class_names,
            folder / f"examples_{self._split}.png",
            pixels=self._data.pixels,
        )


def compute_log_loss(
    true: np.ndarray,
    probabilities: np.ndarray,
    *,
    resize: model_options.Resize,
) -> float:
    """Computes the mean log loss of a picture's pixels, at the model's size.

    Args:
        true: [height, width] class indices; others are ignored.
        probabilities: [size, size, classes].
        resize: How the picture became square.

    Returns:
        NaN where no pixel counts at that size.
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
    """Returns a lookup table of a mask's indices: their indices in `names`.

    uint8 [256]; 255 (ignored) stays 255.
    """
    found = np.full(256, mask_files.IGNORED_INDEX, "uint8")
    found[: len(mask.names)] = _find_class_indices(mask, names)[:-1]
    return found


def build_data_schema(names: Sequence[str]) -> json_schema.Record:
    """Returns the schema of the mask statistics that data.json holds."""
    count = json_schema.Number(0, 10**18, is_whole=True)
    counts = json_schema.Record(dict.fromkeys(names, count))
    pixels = json_schema.Record({"pixels": counts})
    values = json_schema.Table(
        json_schema.Optional(json_schema.OneOf(tuple(names))), is_numbered=True
    )
    return json_schema.Record(
        needed={"masks": json_schema.Record({"train": pixels})},
        possible={"mask_values": values},
    )


def _find_class_indices(
    mask: examples.Mask, names: Sequence[str]
) -> np.ndarray:
    """Returns the index in `names` of each class of a mask, then 255."""
    places = [names.index(name) for name in mask.names]
    return np.array([*places, mask_files.IGNORED_INDEX])
