"""Compares batch-norm statistics of weights with the pictures of a run.

Weights that are not those of the network, or pictures that are not scaled for
them, load without an error; what enters the norms then has another mean than in
pretraining.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.model import layer_execution
from tf_finetune.runs import split_evaluation

_PICTURES = 32
_BATCH = 8
# Medians of right networks on photos were at most 0.8, those of pixels that are
# not scaled at least 88 (docs/torch.md).
_LARGEST_EXPECTED = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatisticsFit:
    """Distance of the pictures from the statistics of batch norms.

    Attributes:
        norms: Number of batch norms.
        median: Median over all channels of |z|, the distance of the channel's
            mean from the recorded one in recorded standard deviations.
        worst: The largest median of one norm.
        worst_norm: Name of that norm.
    """

    norms: int
    median: float
    worst: float
    worst_norm: str


def measure_fit(model: keras.Model, images: np.ndarray) -> StatisticsFit | None:
    """Measures how far pictures are from a network's batch-norm statistics.

    Args:
        model: Flat graph of one input with pretrained weights.
        images: RGB 0..255, float32 [pictures, height, width, 3].

    Returns:
        The distances; None for a network without batch norms.
    """
    sums: dict[keras.Layer, np.ndarray] = {}

    def visit(operation, inputs, call):
        if isinstance(operation, keras.layers.BatchNormalization):
            (entering,) = inputs
            axes = list(range(entering.shape.rank - 1))
            mean = np.asarray(tf.reduce_mean(entering, axis=axes), "float64")
            share = len(entering) / len(images)
            sums[operation] = sums.get(operation, 0.0) + share * mean
        return call()

    for first in range(0, len(images), _BATCH):
        layer_execution.run_layers(model, images[first : first + _BATCH], visit)
    if not sums:
        return None
    # |z| = |mean of what enters − μ| / √(v + ε), by channel.
    distances = {
        norm.name: np.abs(mean - np.asarray(norm.moving_mean))
        / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
        for norm, mean in sums.items()
    }
    medians = {name: float(np.median(z)) for name, z in distances.items()}
    worst = max(medians, key=medians.__getitem__)
    return StatisticsFit(
        norms=len(distances),
        median=float(np.median(np.concatenate([*distances.values()]))),
        worst=medians[worst],
        worst_norm=worst,
    )


def report_fit(
    backbone: backbones.Backbone,
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
) -> None:
    """Logs how well weights from another program fit the pictures of a run.

    It warns where the pictures are farther from the statistics than with any
    right network that was measured.

    Args:
        backbone: With the loaded weights.
        pictures: Of the training split; 32 are used, evenly spaced.
        config: Decoding and resizing.
    """
    # Spaced, since a list of pictures may be sorted by class.
    step = max(len(pictures) // _PICTURES, 1)
    images = np.concatenate(
        [
            np.asarray(batch)
            for batch in split_evaluation.load_images(
                pictures[::step][:_PICTURES],
                config,
                image_size=backbone.image_size,
            )
        ]
    )
    found = measure_fit(backbone.model, images)
    if found is None:
        return
    text = (
        f"Batch-norm statistics of {config.model.weights} on {len(images)} "
        f"training pictures: median distance {found.median:.2f} standard "
        f"deviations in {found.norms} norms, at most {found.worst:.2f} "
        f"({found.worst_norm})"
    )
    if found.worst < _LARGEST_EXPECTED:
        logging.info("%s.", text)
        return
    logging.warning(
        "%s. Below %g is expected. Unless these are very unusual pictures, the "
        "weights are not those of --backbone, or pictures are scaled in "
        "another way than for them (--preprocessing).",
        text,
        _LARGEST_EXPECTED,
    )
