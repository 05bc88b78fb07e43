"""Fills a network with the weights of a wider or deeper one of its family.

Of each group of channels those with the largest activations are kept, and the
kernels that read them are solved anew, from the input on, so that each layer
reproduces the kept outputs of the larger network on pictures without labels.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import topology
from tf_finetune.model import assembly
from tf_finetune.transplants import (
    channel_groups,
    chosen_channels,
    layer_matching,
    network_statistics,
    sequential_repair,
)

_KERNEL_LAYERS = (
    *channel_groups.CONVOLUTIONS,
    keras.layers.DepthwiseConv2D,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilledLayer:
    """Layer of the smaller network and the origin of its weights.

    Attributes:
        name: Name of the layer.
        source: Name of the larger network's layer.
        kept: Output channels, as many as the layer has.
        available: Output channels of the larger network's layer.
        unexplained: Share of the larger layer's variance that the repaired one
            leaves, 0..1; None for a layer whose weights were copied.
    """

    name: str
    source: str
    kept: int
    available: int
    unexplained: float | None = None


def fill_network(
    target: backbones.Backbone,
    source: backbones.Backbone,
    images: np.ndarray,
    *,
    seed: int,
) -> list[FilledLayer]:
    """Fills a network with the weights of a larger one, in place.

    Args:
        target: Network whose weights are replaced.
        source: Network of the same family, as wide and deep or more, with
            trained weights; it is left unchanged.
        images: Pictures without labels, RGB 0..255, float32 [pictures, size,
            size, 3], of the size of both networks. About 128 are enough.
        seed: Seed of the positions at which layers are compared.

    Returns:
        The layers with kernels, from the input on; norms and biases go with
        them.

    Raises:
        UsageError: The networks are no relatives, or `source` is less deep or
            narrower.

    Source of the choice of channels: Luo et al. 2017, "ThiNet", section 3; the
    repair is a ridge regression of the larger network's outputs.
    """
    groups = channel_groups.find_groups(source.model)
    statistics = network_statistics.measure_network(
        source.model, groups, images
    )
    matching = layer_matching.match_layers(
        target, source, statistics.similarities
    )
    chosen = chosen_channels.choose_channels(
        target, source, matching, groups, statistics
    )
    filled = []
    for layer in target.model.layers:
        if isinstance(layer, keras.layers.Rescaling):
            # A weights file may have brought another scaling of pictures.
            large = chosen.source_of[layer]
            layer.scale, layer.offset = large.scale, large.offset
        if layer.weights:
            _copy_weights(chosen, layer)
        if isinstance(layer, _KERNEL_LAYERS):
            filled.append(_describe_layer(chosen, layer))
    unexplained = sequential_repair.repair_network(
        target.model, source.model, chosen, images, seed=seed
    )
    return [
        dataclasses.replace(each, unexplained=unexplained.get(each.name))
        for each in filled
    ]


def _copy_weights(
    chosen: chosen_channels.ChosenChannels, layer: keras.Layer
) -> None:
    """Copies the chosen channels of the counterpart's weights."""
    large = chosen.source_of[layer]
    outputs = chosen.list_channels(large.output)
    values = assembly.copy_values(large.weights)
    if isinstance(layer, channel_groups.CONVOLUTIONS):
        (tensor,) = topology.list_inputs(large)
        # Kernel [..., inputs, outputs], bias [outputs].
        values[0] = values[0][..., chosen.list_channels(tensor), :]
        values = [value[..., outputs] for value in values]
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        # Kernel [rows, columns, channels, 1], bias [channels].
        values[0] = values[0][:, :, outputs]
        values[1:] = [value[outputs] for value in values[1:]]
    elif len(outputs) < large.output.shape[-1]:
        values = [value[outputs] for value in values]
    assembly.assign_values(layer.weights, values)
    # Normalization computes with values derived from its weights.
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()


def _describe_layer(
    chosen: chosen_channels.ChosenChannels, layer: keras.Layer
) -> FilledLayer:
    large = chosen.source_of[layer]
    return FilledLayer(
        name=layer.name,
        source=large.name,
        kept=len(chosen.list_channels(large.output)),
        available=large.output.shape[-1],
    )


def format_table(layers: Sequence[FilledLayer]) -> str:
    """Formats layers as a table for the plan, at most 80 columns wide."""
    heading = f"{'layer':<27} {'from':<27} {'channels':<11} weights"
    lines = [heading, "-" * len(heading)]
    for each in layers:
        channels = f"{each.kept}/{each.available}"
        repaired = (
            "copied"
            if each.unexplained is None
            else f"solved, {1 - each.unexplained:.0%}"
        )
        lines.append(
            f"{each.name[:27]:<27} {each.source[:27]:<27} {channels:<11} "
            f"{repaired}"
        )
    lines.append(
        "solved: kernels that reproduce the larger network's outputs, and the "
        "share of\ntheir variance that they do"
    )
    return "\n".join(lines)
