"""Builds the requested backbone: network, then weights, then surgery.

In this order, since weights files are those of whole networks for RGB. The
weights of an earlier run with the same surgery fit the changed network; those
are loaded after surgery.
"""

import dataclasses

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import build as building
from tf_finetune.backbones.surgery import change, operating
from tf_finetune.config import model_options
from tf_finetune.weights import loading, places, reading

# Flags of surgery that change the layers of a backbone, and their defaults.
_FLAGS = {"cut_at": "none", "norm": "keep", "input_channels": "3"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A backbone with its weights.

    Attributes:
        backbone: After surgery.
        loaded: Where its weights came from; None for random ones.
        changes: Changes made by surgery.
    """

    backbone: backbones.Backbone
    loaded: loading.LoadedWeights | None
    changes: tuple[change.Change, ...]


def build(options: model_options.ModelOptions, weights: str) -> Pretrained:
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
    if _operated_alike(options, weights):
        operated = operating.operate(whole, options.surgery)
        loaded = loading.load(operated.backbone, weights)
    else:
        loaded = loading.load(whole, weights)
        operated = operating.operate(whole, options.surgery)
    return Pretrained(
        backbone=operated.backbone, loaded=loaded, changes=operated.changes
    )


def _operated_alike(options: model_options.ModelOptions, weights: str) -> bool:
    """Returns whether weights come from a run with the same surgery.

    Raises:
        UsageError: They come from a run with another surgery.
    """
    path = places.split(weights).path
    if weights in ("none", "imagenet") or not (path / "run.flags").is_file():
        return False
    flags = reading.flags_of(path)
    theirs = {name: flags.get(name, usual) for name, usual in _FLAGS.items()}
    theirs["se"] = str(flags.get("backbone", "").endswith("+se"))
    if theirs == {**_FLAGS, "se": "False"}:
        return False
    ours = {name: _text(getattr(options.surgery, name)) for name in _FLAGS}
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
            f"--backbone={reading.backbone_of(path)} {flags}".rstrip()
            + "."
        )
    return True


def _text(value: str | int | None) -> str:
    return "none" if value is None else str(value)
