"""Keras model of several inputs: their encodings under one fused head."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from tf_finetune.inputs import (
    fusion_parts,
    input_protocol,
    pictures,
    stacking,
)

Finish = Callable[[keras.KerasTensor], keras.KerasTensor]
"""Adds the task's output layers to logits, `Network.predictions`."""


def build_model(
    inputs: Sequence[input_protocol.Input],
    extractor: keras.Model,
    parts: fusion_parts.FusionParts,
    stack: stacking.Stack,
    finish: Finish,
) -> keras.Model:
    """Joins a network and the solved parts to one plain Keras model.

    Args:
        inputs: Of the run.
        extractor: A picture → features [batch, width]; becomes a part of
            the model.
        parts: The solved parts.
        stack: The weight of each.
        finish: Logits → predictions.

    Returns:
        A model of the inputs by name: `images` float32 [batch, pictures, size,
        size, 3], RGB 0..255, and those of columns; → predictions.
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
        inputs: Of the run; columns are accepted and ignored.
        trainer: A picture → logits; becomes a part of the model.
        finish: Logits → predictions.
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
    layer.set_weights([kernel.astype("float32"), bias.astype("float32")])
    return outputs
