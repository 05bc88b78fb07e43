"""Keras model of several inputs: their encodings under one fused head."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options
from tf_finetune.data import pipeline
from tf_finetune.inputs import (
    fusion_parts,
    head_solvers,
    input_protocol,
    input_rows,
    pictures,
)

Finish = Callable[[keras.KerasTensor], keras.KerasTensor]
"""Adds the task's output layers to logits, `Network.predictions`."""


def build_model(
    inputs: Sequence[input_protocol.Input],
    extractor: keras.Model,
    parts: fusion_parts.FusionParts,
    stack: head_solvers.Stack,
    finish: Finish,
) -> keras.Model:
    """Builds a Keras model of several inputs and their weighted heads.

    Args:
        inputs: Inputs of the run.
        extractor: Model of one picture → features [batch, width]; it becomes
            part of the result.
        parts: Heads solved on features of single inputs.
        stack: The weight of each head's logits.
        finish: Function from logits to predictions, the output activation.

    Returns:
        A model from a dict of inputs by name (`images` float32 [batch,
        pictures, size, size, 3], RGB 0..255, and those of columns) to
        predictions.
    """
    tensors = _build_inputs(inputs, extractor)
    offset, shares = stack.bias, []
    for name, block in parts.blocks.items():
        kernel, bias = block.fold(stack)
        features = _encode(block, tensors, extractor, name)
        # All parts are linear in the features: one dense layer a block.
        shares.append(
            _add_dense(features, kernel, bias + offset, f"{name}_part")
        )
        offset = 0.0  # The stack's bias counts once.
    logits = shares[0]
    if len(shares) > 1:
        add = keras.layers.Add(name="sum_of_parts", dtype="float32")
        logits = add(shares)
    return keras.Model(tensors, finish(logits), name="fusion")


def build_from_network(
    inputs: Sequence[input_protocol.Input],
    trainer: keras.Model,
    finish: Finish,
) -> keras.Model:
    """Builds a model that averages a network's logits over a row's pictures.

    Args:
        inputs: Inputs of the run; columns are accepted and ignored.
        trainer: Model of one picture → logits; it becomes part of the result.
        finish: Function from logits to predictions, the output activation.

    Returns:
        A model from a dict of inputs by name to predictions.
    """
    tensors = _build_inputs(inputs, trainer)
    each = pictures.apply_to_pictures(trainer, tensors[pictures.NAME])
    logits = keras.ops.mean(each, axis=1)
    return keras.Model(tensors, finish(logits), name="fusion")


def _build_inputs(
    inputs: Sequence[input_protocol.Input], network: keras.Model
) -> dict[str, keras.KerasTensor]:
    size = network.input_shape[1]
    return {each.name: each.build(size) for each in inputs}


def _encode(
    block: fusion_parts.Block,
    tensors: Mapping[str, keras.KerasTensor],
    extractor: keras.Model,
    name: str,
) -> keras.KerasTensor:
    """Encodes the inputs of a block, [batch, width]."""
    encodings = dict(block.encodings)
    if pictures.NAME in encodings:
        # Solved on cached features; the model computes them itself.
        network = pictures.PictureEncoding(extractor=extractor)
        encodings[pictures.NAME] = network
    features = [e.add_layers(tensors[n]) for n, e in encodings.items()]
    if len(features) == 1:
        return features[0]
    return keras.layers.Concatenate(name=name, dtype="float32")(features)


def _add_dense(
    features: keras.KerasTensor,
    kernel: np.ndarray,
    bias: np.ndarray,
    name: str,
) -> keras.KerasTensor:
    layer = keras.layers.Dense(kernel.shape[1], dtype="float32", name=name)
    outputs = layer(features)
    # The weights exist since the call.
    layer.set_weights([kernel.astype("float32"), bias.astype("float32")])
    return outputs


def stream_batches(
    inputs: Sequence[input_protocol.Input],
    rows: Sequence[input_rows.Row],
    square: picture_options.Square,
    *,
    batch_size: int,
) -> Iterator[dict[str, tf.Tensor]]:
    """Yields batches of table rows as dicts of tensors, by name of the input.

    Args:
        inputs: Inputs of the run.
        rows: Rows of a table, all of whose pictures can be decoded.
        square: What the pictures are decoded into.
        batch_size: Rows per batch; the last one may be smaller.
    """
    # The pictures of a row lie one behind the other in a batch.
    count = len(rows[0].paths) if rows else 1
    images = pipeline.build_evaluation_images(
        [path for row in rows for path in row.paths],
        square,
        batch_size=batch_size * count,
    )
    starts = range(0, len(rows), batch_size)
    for start, batch in zip(starts, images, strict=True):
        values = input_rows.stack_rows(inputs, rows[start : start + batch_size])
        values[pictures.NAME] = tf.reshape(batch, [-1, count, *batch.shape[1:]])
        yield {name: _convert(value) for name, value in values.items()}


def _convert(value: np.ndarray | tf.Tensor) -> tf.Tensor:
    if value.dtype == object:  # Words.
        return tf.constant(value.tolist(), tf.string)
    # Numbers are float64 for the solvers.
    return tf.cast(value, tf.float32)
