"""Surgery on a backbone that has its weights, and the table of its changes.

A step is imported when it is requested.
"""

import dataclasses
import textwrap
from collections.abc import Sequence

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options

_WORDS, _NUMBERS = 46, (10, 10, 11)  # Widths: 80 columns with the spaces.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """Change of one layer or of several of a kind, a line of the plan's table.

    Attributes:
        flag: The option that requested it, e.g. "--norm=group".
        layers: Names, e.g. "conv1_bn … conv5_block3_3_bn (53)".
        before: Description of the layers before.
        after: Description of the layers after.
        kept: Number of their parameters that stay, bit-equal.
        new: Number of parameters added or recomputed.
        dropped: Number of parameters removed.
    """

    flag: str
    layers: str
    before: str
    after: str
    kept: int = 0
    new: int = 0
    dropped: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class SurgeryResult:
    """Backbone after surgery, and the changes made.

    Attributes:
        backbone: The changed backbone.
        changes: Changes in the order in which they were made; empty where
            nothing was requested, and the backbone is then the given one.
    """

    backbone: backbones.Backbone
    changes: tuple[Change, ...]


def apply_surgery(
    backbone: backbones.Backbone, options: model_options.SurgeryOptions
) -> SurgeryResult:
    """Removes, inserts or replaces layers of a backbone as options request.

    The order is truncation, input channels, squeeze-and-excitation, norm.
    Weights that stay are bit-equal to those of the given backbone, so published
    files of the whole network are loaded before surgery.

    Args:
        backbone: Backbone with its weights.
        options: The requested changes.

    Raises:
        UsageError: A change is impossible with this network.
    """
    # Truncation first: layers that are dropped need no other change.
    changes = []
    if options.cut_at is not None:
        from tf_finetune.backbones.surgery import truncation

        backbone, made = truncation.truncate_backbone(backbone, options.cut_at)
        changes.append(made)
    if options.input_channels == 1:
        from tf_finetune.backbones.surgery import input_channels

        backbone, made = input_channels.convert_to_luminance(backbone)
        changes.append(made)
    if backbone.spec.squeeze_excite:
        from tf_finetune.backbones.surgery import squeeze_excite

        backbone, made = squeeze_excite.insert_blocks(backbone)
        changes.append(made)
    if options.norm != "keep":
        from tf_finetune.backbones.surgery import norm_replacement

        backbone, made = norm_replacement.replace_batch_norms(
            backbone, options.norm
        )
        changes.append(made)
    return SurgeryResult(backbone=backbone, changes=tuple(changes))


def format_table(changes: Sequence[Change]) -> str:
    """Formats changes, at least one, as a text table of 80 columns."""
    heading = _format_line("surgery (before → after)", "kept", "new", "dropped")
    rule = "-" * len(heading)
    lines = [heading, rule]
    for each in changes:
        words = f"{each.flag}: {each.layers}: {each.before} → {each.after}"
        first, *more = textwrap.wrap(
            words, _WORDS, subsequent_indent="  ", break_on_hyphens=False
        )
        numbers = [f"{n:,}" for n in (each.kept, each.new, each.dropped)]
        lines += [_format_line(first, *numbers), *more]
    return "\n".join([*lines, rule])


def summarize_names(names: Sequence[str]) -> str:
    """Formats layer names as the first, the last and their number.

    Args:
        names: At least one name.

    Returns:
        E.g. "conv1_bn … conv5_block3_3_bn (53)"; a single name alone.
    """
    ends = dict.fromkeys([names[0], names[-1]])
    count = f" ({len(names)})" if len(names) > 1 else ""
    return " … ".join(ends) + count


def _format_line(words: str, *numbers: str) -> str:
    columns = [f"{n:>{w}}" for n, w in zip(numbers, _NUMBERS, strict=True)]
    return f"{words:<{_WORDS}} {' '.join(columns)}"
