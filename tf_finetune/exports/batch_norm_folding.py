"""Batch norm folded into the layer before it: fewer passes, same numbers.

In inference batch norm multiplies each channel and adds to it; a convolution
or dense layer before it can do both with other weights. docs/benchmarks.md,
`serving`, has the measured gain. Folded weights are computed in float64, so
that predictions differ by rounding only: on hymenoptera the probabilities of
MobileNet 0.25 are 2.3e-6 off those of a float64 copy when folded, 4.2e-6 with
TensorFlow's batch norm kernel and 1.7e-6 with Keras' formula. From each other
they may be off by the sum; every export is checked, and left unfolded where
the difference would exceed its tolerance.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", section 3.2, equation 14.
"""

import dataclasses
from typing import Any

import keras
import numpy as np

# Layers that are linear in their input before the activation; kernels of the
# output channel last, which `_fold_weights` relies on.
_FOLDABLE_LAYERS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldedModel:
    """Model for inference whose foldable batch norms are gone.

    Attributes:
        model: Has the inputs and outputs of the original.
        names: The batch norm layers that were folded.
        left: The batch norm layers that stay: after a layer that cannot absorb
            them, after one whose output another layer reads, too, or in a
            nested model.
    """

    model: keras.Model
    names: tuple[str, ...]
    left: tuple[str, ...]


def fold_batch_norms(model: keras.Model) -> FoldedModel:
    """Folds every batch norm of a model into the layer before it, if possible.

    Args:
        model: A float32 functional model, which must not be used afterwards:
            layers that do not change become part of the result.

    Returns:
        A model for inference, not for training; `model` itself if nothing can
        be folded.

    Source: Jacob et al. 2018, section 3.2, equation 14.
    """
    pairs = _find_foldable_norms(model)
    names = tuple(norm.name for norm in pairs.values())
    norms = [each.name for each in _list_batch_norms(model)]
    left = tuple(name for name in norms if name not in names)
    if not pairs:
        return FoldedModel(model=model, names=(), left=left)
    gone = set(names)

    def replace_layer(layer: keras.Operation) -> keras.Operation:
        if layer.name not in pairs:
            return layer
        # The folded offset needs a bias, which layers before a batch norm
        # usually lack.
        return type(layer).from_config({**layer.get_config(), "use_bias": True})

    def call_layer(
        layer: keras.Operation, *arguments: Any, **keywords: Any
    ) -> Any:
        if layer.name in gone:
            return arguments[0]
        return layer(*arguments, **keywords)

    copy = keras.models.clone_model(
        model, clone_function=replace_layer, call_function=call_layer
    )
    for name, norm in pairs.items():
        weights = _fold_weights(model.get_layer(name), norm)
        copy.get_layer(name).set_weights(weights)
    return FoldedModel(model=copy, names=names, left=left)


def _find_foldable_norms(
    model: keras.Model,
) -> dict[str, keras.layers.BatchNormalization]:
    """Finds foldable batch norms, by the name of the layer before each."""
    # By the identity of a tensor, the operation that makes it and all that read
    # it: an output that is read twice cannot be scaled for one reader alone.
    makers, users = {}, {}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            for tensor in node.output_tensors:
                makers[id(tensor)] = operation
            for tensor in node.input_tensors:
                users.setdefault(id(tensor), []).append(operation)
    outputs = {id(tensor) for tensor in model.outputs}
    found = {}
    for operation in model.operations:
        if not _is_plain_norm(operation):
            continue
        tensor = operation._inbound_nodes[0].input_tensors[0]
        before = makers[id(tensor)]
        # An output of the model must stay unscaled, too.
        if id(tensor) in outputs or len(users[id(tensor)]) > 1:
            continue
        if _can_absorb(before, operation):
            found[before.name] = operation
    return found


def _is_plain_norm(operation: keras.Operation) -> bool:
    return (
        type(operation) is keras.layers.BatchNormalization
        # Called more than once, it would need several copies of its layer.
        and len(operation._inbound_nodes) == 1
        and not getattr(operation, "renorm", False)
    )


def _can_absorb(
    layer: keras.Operation, norm: keras.layers.BatchNormalization
) -> bool:
    """Returns whether a layer can absorb the batch norm after it."""
    return (
        type(layer) in _FOLDABLE_LAYERS
        and len(layer._inbound_nodes) == 1
        and layer.activation is keras.activations.linear
        and getattr(layer, "data_format", "channels_last") == "channels_last"
        and norm.axis in (-1, len(norm.output.shape) - 1)
        and layer.compute_dtype == norm.compute_dtype == "float32"
        # LoRA and int8 layers compute with more than `get_weights` gives first.
        and not getattr(layer, "lora_enabled", False)
        and getattr(layer, "quantization_mode", None) is None
    )


def _fold_weights(
    layer: keras.Layer, norm: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """Computes the weights of a layer with the batch norm folded in."""
    scale, offset = _compute_scale_and_offset(norm)
    *kernels, last = [
        np.asarray(each, "float64") for each in layer.get_weights()
    ]
    # Equation 14: kernel * scale; and for the bias, bias * scale + offset.
    if layer.use_bias:
        offset = offset + last * scale
    else:
        kernels.append(last)
    if type(layer) is keras.layers.DepthwiseConv2D:
        # [height, width, channels, multiplier]; outputs run in that order.
        kernels[0] = kernels[0] * scale.reshape(kernels[0].shape[2:])
    else:
        kernels[-1] = kernels[-1] * scale
    return [each.astype("float32") for each in (*kernels, offset)]


def _compute_scale_and_offset(
    norm: keras.layers.BatchNormalization,
) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = (
        np.asarray(each, "float64")
        for each in (norm.moving_mean, norm.moving_variance)
    )
    # gamma * (x - mean) / sqrt(variance + epsilon) + beta = scale * x + offset.
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, "float64")
    offset = -mean * scale
    if norm.center:
        offset = offset + np.asarray(norm.beta, "float64")
    return scale, offset


def _list_batch_norms(model: keras.Model) -> list[keras.Layer]:
    return [
        each
        for each in model._flatten_layers(include_self=False)
        if isinstance(each, keras.layers.BatchNormalization)
    ]
