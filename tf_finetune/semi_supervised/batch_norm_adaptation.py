"""Adaptive batch normalization (AdaBN): statistics of the target pictures.

Source: Li et al. 2016, "Revisiting Batch Normalization For Practical Domain
Adaptation", section 3.3 (algorithm 1).
"""

import contextlib
import types
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.model import fast_batch_norm


def adapt_batch_norms(model: keras.Model, batches: Iterable[tf.Tensor]) -> int:
    """Replaces batch-norm moving statistics by those of given pictures.

    Each layer normalizes by the batch, as in training, while its statistics are
    collected: mean of the means, and mean of the variances plus variance of the
    means, weighted by pictures. Dropout stays off.

    Args:
        model: Its batch norms are changed in place, at any depth.
        batches: [batch, size, size, 3] of pixels, as large as memory allows.

    Returns:
        The number of batch-norm layers; 0: there are none, and `batches` is
        not read.
    """
    layers = fast_batch_norm.list_batch_norms(model)
    if not layers:
        return 0
    with _normalize_by_batch(layers):
        seen = _collect_statistics(model, layers, batches)
    weights = np.array([count for count, _ in seen], "float64")
    weights /= weights.sum()
    for index, layer in enumerate(layers):
        means, variances = (
            np.stack([found[index][which] for _, found in seen])
            for which in (0, 1)
        )
        mean = weights @ means
        # Law of total variance: E[var] + var[E].
        spread = weights @ (variances + (means - mean) ** 2)
        layer.moving_mean.assign(mean.astype("float32"))
        layer.moving_variance.assign(spread.astype("float32"))
    return len(layers)


def _collect_statistics(
    model: keras.Model,
    layers: list[keras.layers.BatchNormalization],
    batches: Iterable[tf.Tensor],
) -> list[tuple[int, list[tuple[np.ndarray, np.ndarray]]]]:
    """Returns, for each batch, its size and each layer's mean and variance."""
    # A new function, traced while the batch norms' `call` is replaced; all
    # other layers are in inference mode.
    step = tf.function(lambda images: model(images, training=False))
    seen = []
    for images in batches:
        step(images)
        seen.append(
            (
                len(images),
                [
                    (
                        np.array(layer.moving_mean, "float64"),
                        np.array(layer.moving_variance, "float64"),
                    )
                    for layer in layers
                ],
            )
        )
    return seen


@contextlib.contextmanager
def _normalize_by_batch(
    layers: list[keras.layers.BatchNormalization],
) -> Iterator[None]:
    """Puts only these layers in training mode; they keep batch statistics."""
    before = [(layer.momentum, layer.trainable) for layer in layers]
    try:
        for layer in layers:
            # Momentum 0: the moving statistics are those of the last batch.
            layer.momentum, layer.trainable = 0.0, True
            layer.call = types.MethodType(_call_in_training_mode, layer)
        yield
    finally:
        for layer, (momentum, trainable) in zip(layers, before, strict=True):
            layer.momentum, layer.trainable = momentum, trainable
            # Without it the method of the class is seen again.
            del layer.call


def _call_in_training_mode(
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Replaces `BatchNormalization.call`: always in training mode."""
    del training
    return type(layer).call(layer, inputs, training=True, mask=mask)
