"""Compiled inference of a model, on batches of any size."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.model import fast_batch_norm

Step = Callable[..., tf.Tensor]
"""A compiled forward pass: a batch of each input → the outputs."""

Batch = tf.Tensor | tuple[tf.Tensor, ...] | Mapping[str, tf.Tensor]
"""Values of a model's input, of several, or of several by name."""

# Rows per batch of `predict_rows`.
_ROWS = 4096


def compile_step(model: keras.Model) -> Step:
    """Compiles the forward pass, inference mode.

    `Model.predict` compiles anew for the last batch, which is smaller.

    Args:
        model: Any inputs, one output or several.

    Returns:
        A function of a batch of each input; of a model whose inputs go by
        name, of all of them by name.
    """
    # The batch axis stays open; everything else is fixed.
    shapes = [
        tf.TensorSpec([None, *each.shape[1:]], each.dtype)
        for each in model.inputs
    ]
    # A Sequential has one input; before its first call it knows no `input`.
    is_sequential = isinstance(model, keras.Sequential)
    if not is_sequential and isinstance(model.input, dict):
        names = [each.name for each in model.inputs]
        shapes = [dict(zip(names, shapes, strict=True))]
    compiled = tf.function(
        lambda *batch: model(
            batch[0] if len(batch) == 1 else list(batch), training=False
        ),
        autograph=False,
    )
    # Traced inside the block, in which batch norm is folded on CPUs.
    with fast_batch_norm.accelerate(model):
        return compiled.get_concrete_function(*shapes)


def predict(
    model: keras.Model,
    batches: Iterable[Batch],
) -> np.ndarray:
    """Returns a model's predictions of all batches, in their order.

    Args:
        model: Any inputs, one output.
        batches: Of its input, or of several.
    """
    return predict_batches(compile_step(model), batches)


def predict_batches(compiled: Step, batches: Iterable[Batch]) -> np.ndarray:
    """Concatenates the outputs of a compiled forward pass over batches."""
    return np.concatenate([*stream_predictions(compiled, batches)])


def stream_predictions(
    compiled: Step, batches: Iterable[Batch]
) -> Iterator[np.ndarray]:
    """Yields the outputs of a compiled forward pass, a batch at a time."""
    for batch in batches:
        yield np.asarray(apply_step(compiled, batch))


def apply_step(compiled: Step, batch: Batch) -> tf.Tensor:
    """Applies a compiled forward pass to a batch of its input or inputs."""
    parts = batch if isinstance(batch, tuple) else (batch,)
    return compiled(*tf.nest.map_structure(tf.convert_to_tensor, parts))


def predict_rows(model: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Returns a model's predictions of the rows of an array."""
    starts = range(0, len(rows), _ROWS)
    return predict(model, (rows[start : start + _ROWS] for start in starts))
