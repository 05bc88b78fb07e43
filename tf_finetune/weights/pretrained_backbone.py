"""Builds the requested backbone: network, then weights, then surgery.

In this order, since weights files are those of whole networks for RGB. The
weights of an earlier run with the same surgery fit the changed network; those
are loaded after surgery.
"""

import dataclasses

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import build as building
from tf_finetune.backbones.surgery import change_table, surgery_steps
from tf_finetune.config import model_options
from tf_finetune.weights import file_parts, loading, weights_file

# Flags of surgery that change the layers of a backbone, and their defaults.
_FLAGS = {"cut_at": "none", "norm": "keep", "input_channels": "3"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedBackbone:
    """A backbone with its weights.

    Attributes:
        backbone: After surgery.
        loaded: Where its weights came from; None for random ones.
        changes: Changes made by surgery.
    """

    backbone: backbones.Backbone
    loaded: loading.LoadedWeights | None
    changes: tuple[change_table.Change, ...]


def build_pretrained(
    options: model_options.ModelOptions, weights: str
) -> PretrainedBackbone:
    """Builds a backbone, loads its weights and applies surgery.

    Args:
        options: `backbone`, `image_size` and `surgery` are read.
        weights: As `--weights` takes them.

    Raises:
        UsageError: Unknown names, an image that is too small, weights of
            another network, surgery that is impossible.
        RunError: Weights cannot be downloaded, read or matched.
    """
    whole = building.build(options.backbone, image_size=options.image_size)
    if _has_same_surgery(options, weights):
        operated = surgery_steps.apply_surgery(whole, options.surgery)
        loaded = loading.load(operated.backbone, weights)
    else:
        loaded = loading.load(whole, weights)
        operated = surgery_steps.apply_surgery(whole, options.surgery)
    return PretrainedBackbone(
        backbone=operated.backbone, loaded=loaded, changes=operated.changes
    )


def _has_same_surgery(
    options: model_options.ModelOptions, weights: str
) -> bool:
    """Returns whether weights come from a run with the same surgery.

    Raises:
        UsageError: They come from a run with another surgery.
    """
    path = file_parts.parse_source(weights).path
    if weights in ("none", "imagenet") or not (path / "run.flags").is_file():
        return False
    flags = weights_file.read_flags(path)
    theirs = {name: flags.get(name, usual) for name, usual in _FLAGS.items()}
    theirs["se"] = str(flags.get("backbone", "").endswith("+se"))
    if theirs == {**_FLAGS, "se": "False"}:
        return False
    ours = {
        name: _format_value(getattr(options.surgery, name)) for name in _FLAGS
    }
    ours["se"] = str(options.backbone.endswith("+se"))
    if ours != theirs:
        flags = " ".join(
            f"--{name}={value}"
            for name, value in theirs.items()
            if name != "se" and value != _FLAGS[name]
        )
        raise errors.UsageError(
            f"--weights={weights} is a run with other flags of surgery than "
            "are given here. Give the flags of that run: "
            f"--backbone={weights_file.read_backbone(path)} {flags}".rstrip()
            + "."
        )
    return True


def _format_value(value: str | int | None) -> str:
    return "none" if value is None else str(value)
