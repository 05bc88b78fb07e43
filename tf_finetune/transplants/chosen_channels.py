"""The channels of a larger network that a smaller one takes over."""

import dataclasses

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.transplants import (
    channel_groups,
    layer_matching,
    network_statistics,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenChannels:
    """Matched layers of two networks, and the chosen channels.

    Attributes:
        source_of: The larger network's operation by the smaller one's.
        indices: By group of the larger network's channels, the ascending
            indices of those that the smaller one takes.
        groups: The groups of the larger network.
    """

    source_of: dict[keras.Operation, keras.Operation]
    indices: dict[int, np.ndarray]
    groups: channel_groups.ChannelGroups

    def list_channels(self, tensor: keras.KerasTensor) -> np.ndarray:
        """Returns the chosen channels of a tensor of the larger network.

        Returns:
            Indices into its last axis; several ascending runs where it is
            concatenated.
        """
        # A concatenation has several groups: indices count through all.
        found, first = [], 0
        for group in self.groups.of_tensor[id(tensor)]:
            found.append(first + self.indices[group])
            first += self.groups.sizes[group]
        return np.concatenate(found)


def choose_channels(
    target: backbones.Backbone,
    source: backbones.Backbone,
    matching: layer_matching.Matching,
    groups: channel_groups.ChannelGroups,
    statistics: network_statistics.Statistics,
) -> ChosenChannels:
    """Chooses the channels of a larger network with the largest activations.

    Args:
        target: The smaller network.
        source: The larger one.
        matching: Their layers, in pairs.
        groups: Groups of channels of `source`.
        statistics: Its activations.

    Raises:
        UsageError: `source` is narrower somewhere.
    """
    ours = channel_groups.find_groups(target.model)
    wanted = {0: groups.sizes[0]}
    for small, large in matching.source_of.items():
        pairs = zip(
            ours.of_tensor[id(small.output)],
            groups.of_tensor[id(large.output)],
            strict=True,
        )
        wanted |= {theirs: ours.sizes[mine] for mine, theirs in pairs}
    chosen = {}
    for group, count in wanted.items():
        available = groups.sizes[group]
        if count > available:
            raise errors.UsageError(
                f"--init_from: {source.spec.name_width(source.alpha)} has "
                f"{available} channels where "
                f"{target.spec.name_width(target.alpha)} has {count}. Name a "
                "network that is as wide or wider."
            )
        # Every channel of a group of equal size, the input's among them.
        order = np.arange(available)
        if count < available:
            order = np.argsort(-statistics.energies[group], kind="stable")
        # In the order that they have in the larger network.
        chosen[group] = np.sort(order[:count])
    return ChosenChannels(
        source_of=matching.source_of, indices=chosen, groups=groups
    )
