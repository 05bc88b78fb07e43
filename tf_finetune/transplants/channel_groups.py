"""Groups of channels that a narrower network must choose alike.

A sum or product of tensors pairs their channels, and batch norms, activations,
pooling and depthwise convolutions keep them. All tensors that are connected in
this way share one choice of channels; a convolution begins a new one.
"""

import dataclasses
from collections.abc import Sequence

import keras

from tf_finetune import errors
from tf_finetune.backbones import topology

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Dense)
"""Layers whose kernels mix channels; their outputs are new channels."""

_KEEP_CHANNELS = (keras.layers.DepthwiseConv2D, keras.layers.BatchNormalization)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelGroups:
    """Groups of channels that a narrower network must choose alike.

    Attributes:
        of_tensor: By `id` of a tensor, the groups that its last axis is made
            of, in order: several after a concatenation.
        sizes: Number of channels of each group.
    """

    of_tensor: dict[int, tuple[int, ...]]
    sizes: dict[int, int]


def find_groups(model: keras.Model) -> ChannelGroups:
    """Finds the groups of channels that a narrower network must choose alike.

    Args:
        model: Flat graph of one input, each layer called once.

    Returns:
        The groups, numbered in the order of the graph; group 0 is that of the
        input's channels.

    Raises:
        UsageError: A layer relates channels in a way that is not known here.
    """
    finder = _Finder()
    images = model.inputs[0]
    finder.of_tensor[id(images)] = (finder.add(images.shape[-1]),)
    for operation in model.operations:
        if not isinstance(operation, keras.layers.InputLayer):
            finder.of_tensor[id(operation.output)] = finder.relate(operation)
    return ChannelGroups(
        of_tensor={
            key: tuple(finder.find(each) for each in groups)
            for key, groups in finder.of_tensor.items()
        },
        sizes=dict(finder.sizes),
    )


class _Finder:
    """Union-find over groups, filled from the input on."""

    def __init__(self) -> None:
        self.of_tensor: dict[int, tuple[int, ...]] = {}
        self.sizes: dict[int, int] = {}
        self._parents: list[int] = []

    def add(self, size: int) -> int:
        group = len(self._parents)
        self._parents.append(group)
        self.sizes[group] = size
        return group

    def find(self, group: int) -> int:
        while self._parents[group] != group:
            group = self._parents[group]
        return group

    def relate(self, operation: keras.Operation) -> tuple[int, ...]:
        """Returns the groups of an operation's output."""
        tensors = topology.list_inputs(operation)
        inputs = [self.of_tensor[id(each)] for each in tensors]
        width = operation.output.shape[-1]
        if isinstance(operation, CONVOLUTIONS):
            if getattr(operation, "groups", 1) == 1:
                return (self.add(width),)
        elif isinstance(operation, keras.layers.Concatenate):
            # Along the channels; elsewhere the widths would not add up.
            if width == sum(each.shape[-1] for each in tensors):
                return tuple(group for groups in inputs for group in groups)
        elif all(each.shape[-1] == width for each in tensors):
            keeps = isinstance(operation, _KEEP_CHANNELS)
            if keeps or not getattr(operation, "weights", None):
                return self._unite(operation, inputs)
            # Weights of three colors, such as a Normalization's.
            if inputs[0] == (0,):
                return inputs[0]
        raise errors.UsageError(
            "--init_from: the channels of networks with a layer such as "
            f"{operation.name!r} ({type(operation).__name__}) cannot be "
            "chosen. Networks of convolutions, batch norms, poolings, sums, "
            "products and concatenations can be filled, e.g. MobileNet, "
            "ResNet and EfficientNet."
        )

    def _unite(
        self, operation: keras.Operation, inputs: Sequence[tuple[int, ...]]
    ) -> tuple[int, ...]:
        first, *others = inputs
        for other in others:
            if len(other) != len(first):
                raise errors.UsageError(
                    f"--init_from: layer {operation.name!r} adds up tensors "
                    "that are concatenated in different ways, which cannot "
                    "be narrowed."
                )
            for one, two in zip(first, other, strict=True):
                low, high = sorted((self.find(one), self.find(two)))
                self._parents[high] = low
        return first
