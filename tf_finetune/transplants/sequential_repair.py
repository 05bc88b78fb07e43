"""Repair of a narrowed network, one convolution after the other."""

import collections

import keras
import numpy as np

from tf_finetune.backbones import topology
from tf_finetune.model import layer_execution
from tf_finetune.transplants import (
    channel_groups,
    chosen_channels,
    ridge_repair,
)

_BATCH = 16


def repair_network(
    target: keras.Model,
    source: keras.Model,
    chosen: chosen_channels.ChosenChannels,
    images: np.ndarray,
    *,
    seed: int,
) -> dict[str, float]:
    """Solves kernels for the outputs of a larger network's layers.

    Each convolution is solved for the larger network's outputs before the norm,
    from the inputs that the layers before it compute after their repair.

    Args:
        target: The smaller network, with copied weights; changed in place.
        source: The larger one.
        chosen: The channels of `source` that `target` has.
        images: RGB 0..255, float32 [pictures, size, size, 3].
        seed: Seed of the positions at which outputs are compared.

    Returns:
        By name of each repaired layer, the share of the outputs' variance that
        it leaves unexplained, 0..1.
    """
    positions = {
        layer: ridge_repair.choose_positions(
            layer.output.shape[1:], len(images), seed=seed
        )
        for layer in _list_inexact(target, source, chosen)
    }
    # Of the larger network, before anything of the smaller one is solved.
    outputs = _collect_outputs(source, chosen, positions, images)
    norms = _find_norms(target)
    unexplained = {}

    def visit(operation, inputs, call):
        if operation in positions:
            norm = norms.get(operation)
            found = ridge_repair.solve(
                ridge_repair.gather_patches(
                    operation, inputs[0], positions[operation]
                ),
                outputs[operation],
                has_offset=operation.use_bias or norm is not None,
            )
            # Layers behind this one see its new outputs.
            _assign_solution(operation, norm, found)
            unexplained[operation.name] = found.unexplained
        return call()

    layer_execution.run_layers(target, images, visit)
    return unexplained


def _list_inexact(
    target: keras.Model,
    source: keras.Model,
    chosen: chosen_channels.ChosenChannels,
) -> list[keras.Layer]:
    """Lists the convolutions that see other inputs than their counterparts.

    The first one sees the picture itself, so that its outputs are those of the
    larger network.
    """
    # Tensors with the values that the larger network's have, at the chosen
    # channels. Behind a block that was left out there are none.
    exact = {id(target.inputs[0]): id(source.inputs[0])}
    found = []
    for operation in target.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        large = chosen.source_of[operation]
        tensors = topology.list_inputs(large)
        is_exact = all(
            exact.get(id(mine)) == id(theirs)
            for mine, theirs in zip(
                topology.list_inputs(operation), tensors, strict=True
            )
        )
        if isinstance(operation, channel_groups.CONVOLUTIONS):
            kept = len(chosen.list_channels(tensors[0]))
            is_exact = is_exact and kept == tensors[0].shape[-1]
            if not is_exact:
                found.append(operation)
        if is_exact:
            exact[id(operation.output)] = id(large.output)
    return found


def _collect_outputs(
    source: keras.Model,
    chosen: chosen_channels.ChosenChannels,
    positions: dict[keras.Layer, np.ndarray],
    images: np.ndarray,
) -> dict[keras.Layer, np.ndarray]:
    """Collects the outputs of the larger network's counterparts of layers.

    Returns:
        By layer of the smaller network [positions, channels]: its
        counterpart's output at the chosen channels, before the activation.
    """
    small_of = {chosen.source_of[layer]: layer for layer in positions}
    parts: dict[keras.Layer, list[np.ndarray]] = {e: [] for e in positions}
    first = 0

    def visit(operation, inputs, call):
        layer = small_of.get(operation)
        if layer is None:
            return call()
        output = layer_execution.call_linearly(operation, call)
        places = positions[layer][first : first + _BATCH]
        rows = ridge_repair.gather_outputs(output, places)
        parts[layer].append(rows[:, chosen.list_channels(operation.output)])
        activation = getattr(operation, "activation", None)
        return activation(output) if activation else output

    for first in range(0, len(images), _BATCH):
        layer_execution.run_layers(
            source, images[first : first + _BATCH], visit
        )
    return {layer: np.concatenate(rows) for layer, rows in parts.items()}


def _find_norms(
    model: keras.Model,
) -> dict[keras.Operation, keras.layers.BatchNormalization]:
    """Finds the batch norm that alone reads each operation's output."""
    readers = collections.defaultdict(list)
    for operation in model.operations:
        for tensor in topology.list_inputs(operation):
            readers[id(tensor)].append(operation)
    return {
        operation: following[0]
        for operation in model.operations
        if len(following := readers[id(operation.output)]) == 1
        and isinstance(following[0], keras.layers.BatchNormalization)
    }


def _assign_solution(
    layer: keras.Layer,
    norm: keras.layers.BatchNormalization | None,
    found: ridge_repair.Solution,
) -> None:
    layer.kernel.assign(found.kernel.reshape(layer.kernel.shape))
    if layer.use_bias:
        layer.bias.assign(found.offset)
    elif norm is not None:
        # γ(x·W + b − μ)/σ + β: the constant goes into the mean, μ − b.
        norm.moving_mean.assign(norm.moving_mean - found.offset)
