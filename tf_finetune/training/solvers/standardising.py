"""Features of mean 0 and deviation 1 while a head is trained by steps.

Afterwards the head's first layer does it itself, so that the head takes raw
features, as the model gives them to it.
"""

from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.cache import store as stores


class Standard(Protocol):
    """How rows of features come to the head while it is trained."""

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns raw rows [batch, width] as the head is to see them."""

    def move_into(self, model: keras.Model) -> None:
        """Lets the trained head take raw rows."""


def standard(model: keras.Model, features: stores.Rows) -> Standard:
    """Returns how features are standardised for a head.

    They are where its first layer can take that over, which a dense layer and
    a batch norm can. Behind another one (an activation, a layer norm, a
    convolution) features stay as they are.

    Args:
        model: What goes into the head → logits.
        features: Raw ones, of the training split.
    """
    if _first(model) is None:
        return _AsItIs()
    return _Standardised(features)


class _AsItIs:
    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        return rows

    def move_into(self, model: keras.Model) -> None:
        del model


class _Standardised:
    """What makes each feature of mean 0 and deviation 1, found in one pass."""

    def __init__(self, features: stores.Rows) -> None:
        count, total, squares = len(features), 0.0, 0.0
        for block in features.blocks():
            total = total + block.sum(axis=0, dtype="float64")
        mean = total / count
        for block in features.blocks():
            squares = squares + ((block - mean) ** 2).sum(axis=0)
        scale = np.sqrt(squares / count)
        self.mean = mean.astype("float32")
        self.scale = np.where(scale > 1e-6, scale, 1.0).astype("float32")

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        return (rows - self.mean) / self.scale

    def move_into(self, model: keras.Model) -> None:
        layer = _first(model)
        if isinstance(layer, keras.layers.Dense):
            kernel, bias = layer.get_weights()
            kernel = kernel / self.scale[:, np.newaxis]
            layer.set_weights([kernel, bias - self.mean @ kernel])
            return
        gamma, beta, mean, variance = layer.get_weights()
        raw = variance * self.scale**2
        # Epsilon is added to the variance of raw features now.
        gamma = gamma * np.sqrt(
            (raw + layer.epsilon) / (variance + layer.epsilon)
        )
        layer.set_weights(
            [gamma / self.scale, beta, mean * self.scale + self.mean, raw]
        )


def _first(
    model: keras.Model,
) -> keras.layers.Dense | keras.layers.BatchNormalization | None:
    """Returns the layer that can take over, None if there is none.

    What lies before it, if anything, is dropout, which inference passes by.
    """
    if len(model.inputs) > 1:
        return None
    passing = (keras.layers.InputLayer, keras.layers.Dropout)
    for layer in model.layers:
        if type(layer) in (keras.layers.Dense, keras.layers.BatchNormalization):
            return layer
        if not isinstance(layer, passing):
            break
    return None
