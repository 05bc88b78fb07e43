"""The surgery that was asked for, done to a backbone that has its weights."""

import dataclasses

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import (
    change,
    channels,
    cut,
    norm,
    squeeze_excite,
)
from tf_finetune.config import surgery_options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operated:
    """A backbone after surgery.

    Attributes:
        backbone: What is left of it and what was added.
        changes: What was done, in order; empty where nothing was asked for,
            and the backbone is the one that was given.
    """

    backbone: backbones.Backbone
    changes: tuple[change.Change, ...]


def operate(
    backbone: backbones.Backbone, options: surgery_options.SurgeryOptions
) -> Operated:
    """Does what is asked for: cut, channels, squeeze-and-excitation, norm.

    Weights that survive are bit equal to those of the backbone that is given,
    so that it takes the published files of the whole network before.

    Args:
        backbone: With its weights.
        options: What is asked for.

    Raises:
        UsageError: Something cannot be done to this network.
    """
    changes = []
    if options.cut_at is not None:
        backbone, made = cut.cut(backbone, options.cut_at)
        changes.append(made)
    if options.input_channels == 1:
        backbone, made = channels.grey(backbone)
        changes.append(made)
    if backbone.spec.squeeze_excite:
        backbone, made = squeeze_excite.insert(backbone)
        changes.append(made)
    if options.norm != "keep":
        backbone, made = norm.replace(backbone, options.norm)
        changes.append(made)
    return Operated(backbone=backbone, changes=tuple(changes))
