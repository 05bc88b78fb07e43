"""A model's answers, compiled once for batches of any size."""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

_ROWS = 4096


def step(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Compiles the forward pass, inference mode.

    `Model.predict` compiles anew for the last batch, which is smaller.

    Args:
        model: One input, one output.

    Returns:
        A function of a batch of inputs.
    """
    shape = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    compiled = tf.function(
        lambda batch: model(batch, training=False), autograph=False
    )
    return compiled.get_concrete_function(shape)


def predict(model: keras.Model, batches: Iterable[tf.Tensor]) -> np.ndarray:
    """Returns a model's answers to all batches, in their order."""
    compiled = step(model)
    return np.concatenate(
        [np.asarray(compiled(tf.convert_to_tensor(each))) for each in batches]
    )


def predict_rows(model: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Returns a model's answers to the rows of an array."""
    starts = range(0, len(rows), _ROWS)
    return predict(model, (rows[start : start + _ROWS] for start in starts))
