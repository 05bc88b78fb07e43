"""Standardization of features while a head is trained by gradient steps.

Afterwards it is folded into the head's first layer, so that the head takes raw
features, as the model gives them to it.
"""

from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.feature_cache import store as stores
from tf_finetune.model import weight_snapshot


class FeatureScaling(Protocol):
    """Transformation of feature rows while a head is trained."""

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Transforms raw rows [batch, width] for the head."""

    def fold_into(self, model: keras.Model) -> None:
        """Folds the transformation into the trained head."""


def choose_scaling(model: keras.Model, features: stores.Rows) -> FeatureScaling:
    """Chooses the transformation of features for a head.

    Features are standardized if the first layer can absorb that afterwards,
    as a dense layer or a batch norm can. Before any other layer (an activation,
    a layer norm, a convolution) they stay as they are.

    Args:
        model: The head alone: features → logits.
        features: Raw ones, of the training split.
    """
    if _find_absorbing_layer(model) is None:
        return _NoScaling()
    return _StandardScaling(features)


class _NoScaling:
    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        return rows

    def fold_into(self, model: keras.Model) -> None:
        del model


class _StandardScaling:
    """Standardizes each feature to mean 0 and deviation 1."""

    def __init__(self, features: stores.Rows) -> None:
        count, total, squares = len(features), 0.0, 0.0
        for block in features.iterate_blocks():
            total = total + block.sum(axis=0, dtype="float64")
        mean = total / count
        # A second pass, because E[x²] - E[x]² loses digits to cancellation.
        for block in features.iterate_blocks():
            squares = squares + ((block - mean) ** 2).sum(axis=0)
        scale = np.sqrt(squares / count)
        self.mean = mean.astype("float32")
        self.scale = np.where(scale > 1e-6, scale, 1.0).astype("float32")

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        return (rows - self.mean) / self.scale

    def fold_into(self, model: keras.Model) -> None:
        layer = _find_absorbing_layer(model)
        if isinstance(layer, keras.layers.Dense):
            # ((x - mean) / scale) · kernel + bias, in terms of x.
            kernel, bias = layer.get_weights()
            kernel = kernel / self.scale[:, np.newaxis]
            weight_snapshot.assign_values(
                layer.weights, [kernel, bias - self.mean @ kernel]
            )
            return
        gamma, beta, mean, variance = layer.get_weights()
        raw = variance * self.scale**2
        # Batch norm adds epsilon to the variance, which is that of raw features
        # now: gamma makes up for the difference.
        gamma = gamma * np.sqrt(
            (raw + layer.epsilon) / (variance + layer.epsilon)
        )
        weight_snapshot.assign_values(
            layer.weights,
            [gamma / self.scale, beta, mean * self.scale + self.mean, raw],
        )


def _find_absorbing_layer(
    model: keras.Model,
) -> keras.layers.Dense | keras.layers.BatchNormalization | None:
    """Finds the first layer if it can absorb a standardization, else None.

    Only dropout may lie before it, which does nothing in inference.
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
