"""Surgery on a backbone that has its weights: all requested changes."""

import dataclasses

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import (
    change_table,
    input_channels,
    norm_replacement,
    squeeze_excite,
    truncation,
)
from tf_finetune.config import model_options


@dataclasses.dataclass(frozen=True, kw_only=True)
class SurgeryResult:
    """A backbone after surgery, and the changes made.

    Attributes:
        backbone: The changed backbone.
        changes: In order; empty where nothing was requested, and the backbone
            is then the given one.
    """

    backbone: backbones.Backbone
    changes: tuple[change_table.Change, ...]


def apply_surgery(
    backbone: backbones.Backbone, options: model_options.SurgeryOptions
) -> SurgeryResult:
    """Applies surgery: truncation, channels, squeeze-and-excitation, norm.

    Weights that stay are bit-equal to those of the given backbone, so published
    files of the whole network are loaded before surgery.

    Args:
        backbone: With its weights.
        options: The requested changes.

    Raises:
        UsageError: Something cannot be done to this network.
    """
    # Truncation first: layers that are dropped need no other change.
    changes = []
    if options.cut_at is not None:
        backbone, made = truncation.truncate_backbone(backbone, options.cut_at)
        changes.append(made)
    if options.input_channels == 1:
        backbone, made = input_channels.convert_to_luminance(backbone)
        changes.append(made)
    if backbone.spec.squeeze_excite:
        backbone, made = squeeze_excite.insert_blocks(backbone)
        changes.append(made)
    if options.norm != "keep":
        backbone, made = norm_replacement.replace_batch_norms(
            backbone, options.norm
        )
        changes.append(made)
    return SurgeryResult(backbone=backbone, changes=tuple(changes))
