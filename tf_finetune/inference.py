"""A model's answers, compiled once for batches of any size."""

from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import batch_norm

Step = Callable[..., tf.Tensor]
"""A forward pass, compiled: a batch of each input → the outputs."""

_ROWS = 4096


def step(model: keras.Model) -> Step:
    """Compiles the forward pass, inference mode.

    `Model.predict` compiles anew for the last batch, which is smaller.

    Args:
        model: Any inputs, one output or several.

    Returns:
        A function of a batch of each input.
    """
    shapes = [
        tf.TensorSpec([None, *each.shape[1:]], tf.float32)
        for each in model.inputs
    ]
    compiled = tf.function(
        lambda *batch: model(
            batch[0] if len(batch) == 1 else list(batch), training=False
        ),
        autograph=False,
    )
    with batch_norm.fast(model):
        return compiled.get_concrete_function(*shapes)


def predict(
    model: keras.Model,
    batches: Iterable[tf.Tensor | tuple[tf.Tensor, ...]],
) -> np.ndarray:
    """Returns a model's answers to all batches, in their order.

    Args:
        model: Any inputs, one output.
        batches: Of its input, or tuples where it has several.
    """
    return answers(step(model), batches)


def answers(
    compiled: Step, batches: Iterable[tf.Tensor | tuple[tf.Tensor, ...]]
) -> np.ndarray:
    """Does what `predict` does, with a forward pass of one output."""
    return np.concatenate([*stream(compiled, batches)])


def stream(
    compiled: Step, batches: Iterable[tf.Tensor | tuple[tf.Tensor, ...]]
) -> Iterator[np.ndarray]:
    """Yields what `answers` returns, a batch at a time."""
    for batch in batches:
        yield np.asarray(called(compiled, batch))


def called(
    compiled: Step, batch: tf.Tensor | tuple[tf.Tensor, ...]
) -> tf.Tensor:
    """Returns a forward pass' answer to a batch of its input or inputs."""
    parts = batch if isinstance(batch, tuple) else (batch,)
    return compiled(*map(tf.convert_to_tensor, parts))


def predict_rows(model: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Returns a model's answers to the rows of an array."""
    starts = range(0, len(rows), _ROWS)
    return predict(model, (rows[start : start + _ROWS] for start in starts))
