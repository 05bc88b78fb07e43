"""Statistics of a network on pictures: which channels and blocks matter."""

import collections
import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.backbones import topology
from tf_finetune.model import layer_execution
from tf_finetune.transplants import (
    channel_groups,
    layer_matching,
)

_BATCH = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Activations of a network, averaged over pictures.

    Attributes:
        energies: By group of channels, [channels]: mean square of each channel,
            divided by the mean over channels, summed over the convolutions that
            write to the group.
        similarities: By the sum at the end of a residual block, the cosine of
            its input and its output, averaged over pictures.
    """

    energies: dict[int, np.ndarray]
    similarities: dict[keras.Operation, float]


def measure_network(
    model: keras.Model, groups: channel_groups.ChannelGroups, images: np.ndarray
) -> Statistics:
    """Measures energies of channels and similarities of blocks.

    Args:
        model: Flat graph of one input and one output.
        groups: Its groups of channels.
        images: RGB 0..255, float32 [pictures, height, width, 3].

    Source: Luo et al. 2017, "ThiNet", section 3 (channels are chosen by what
    the next layer sees of them); mean squares in place of its greedy search.
    """
    ends = _find_activated_ends(model)
    blocks = [
        found
        for segment in layer_matching.split_segments(model)
        if (found := layer_matching.find_shortcut(segment))
    ]
    squares: dict[keras.Operation, np.ndarray] = collections.defaultdict(
        lambda: np.zeros(1)
    )
    cosines: dict[keras.Operation, float] = collections.defaultdict(float)

    def visit(operation, inputs, call):
        output = call()
        if operation in ends:
            # e_k = E[z_k²] over pictures and positions.
            axes = list(range(output.shape.rank - 1))
            mean = tf.reduce_mean(tf.square(output), axis=axes)
            squares[operation] = squares[operation] + np.asarray(
                mean, "float64"
            ) * (len(output) / len(images))
        if operation in blocks:
            shortcut = _pick_shortcut(model, operation, inputs)
            cosines[operation] += float(
                tf.reduce_sum(_compute_cosines(shortcut, output))
            )
        return output

    for first in range(0, len(images), _BATCH):
        layer_execution.run_layers(model, images[first : first + _BATCH], visit)
    energies: dict[int, np.ndarray] = {}
    for operation, square in squares.items():
        found = groups.of_tensor[id(operation.output)]
        bounds = np.cumsum([groups.sizes[each] for each in found])[:-1]
        for group, part in zip(found, np.split(square, bounds), strict=True):
            # Relative, so that no member of a sum outweighs the others.
            share = part / max(part.mean(), np.finfo("float64").tiny)
            energies[group] = energies.get(group, 0.0) + share
    return Statistics(
        energies=energies,
        similarities={each: cosines[each] / len(images) for each in blocks},
    )


def _find_activated_ends(model: keras.Model) -> set[keras.Operation]:
    """Finds the ends of convolution → norm → activation.

    What the next layer sees of a convolution is behind these.
    """
    readers: dict[int, list[keras.Operation]] = collections.defaultdict(list)
    for operation in model.operations:
        for tensor in topology.list_inputs(operation):
            readers[id(tensor)].append(operation)
    ends = set()
    for operation in model.operations:
        if not isinstance(operation, channel_groups.CONVOLUTIONS):
            continue
        while True:
            following = readers[id(operation.output)]
            if len(following) != 1 or not _is_elementwise(following[0]):
                break
            (operation,) = following
        ends.add(operation)
    return ends


def _is_elementwise(operation: keras.Operation) -> bool:
    if isinstance(operation, keras.layers.BatchNormalization):
        return True
    tensors = topology.list_inputs(operation)
    return (
        len(tensors) == 1
        and not getattr(operation, "weights", None)
        and tensors[0].shape == operation.output.shape
    )


def _pick_shortcut(
    model: keras.Model, operation: keras.Operation, inputs: list[tf.Tensor]
) -> tf.Tensor:
    """Returns the value of the sum's input that the block begins with."""
    # Of the two it is the one that was computed first.
    order = {id(each.output): n for n, each in enumerate(model.operations)}
    tensors = topology.list_inputs(operation)
    first = min(range(len(tensors)), key=lambda n: order[id(tensors[n])])
    return inputs[first]


def _compute_cosines(one: tf.Tensor, two: tf.Tensor) -> tf.Tensor:
    """Returns the cosine of two activations of each picture, [pictures]."""
    flat = [tf.reshape(each, [each.shape[0], -1]) for each in (one, two)]
    one, two = (tf.nn.l2_normalize(each, axis=1) for each in flat)
    return tf.reduce_sum(one * two, axis=1)
