"""Checks of a PyTorch file that need no TensorFlow."""

import pathlib
import re

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.weights.torch import (
    architectures,
    families,
    reader,
    weights_configs,
)

_OTHER_EPSILON = ("efficientnet_b5", "efficientnet_b6", "efficientnet_b7")


def check_file(
    spec: backbones.BackboneSpec, path: pathlib.Path, *, part: str = ""
) -> reader.StateDict:
    """Reads a PyTorch file and checks that it is of a backbone's architecture.

    Architectures outside the table of known ones pass; they are compared array
    by array when they are loaded.

    Args:
        spec: Backbone to load the file into; its graph is not built.
        path: A .pth, .pt, .bin or .safetensors file.
        part: Key of one of several networks in it ("model_ema"); "": the only
            one.

    Returns:
        The file's arrays.

    Raises:
        UsageError: The file holds another network or none, or there are no
            rules for PyTorch files of this backbone.
        RunError: The file is damaged, incomplete (its name ends in the hash of
            another content) or refused.
    """
    # Before the file is read, which may have gigabytes.
    if families.find_family(spec.name) is None:
        raise errors.UsageError(
            f"--weights={path} is a PyTorch file, and there is no rule "
            f"for the layers of {spec.name!r} in such files. There are rules "
            f"for: {', '.join(architectures.list_backbones())}."
        )
    file = reader.read_state_dict(path, part=part)
    _check_hash(file)
    _check_graph(file, _get_base(spec))
    # An unknown signature passes: the match of all arrays decides.
    found = architectures.identify(file)
    if found is not None and found != _get_base(spec):
        known = found in architectures.list_backbones()
        raise errors.UsageError(
            f"--weights={path} holds {architectures.describe(file)} of "
            f"{found}, but --backbone={spec.name} was asked for. "
            + (
                f"Use --backbone={found}, or other weights."
                if known
                else f"{found} is not among the backbones here."
            )
        )
    return file


def _get_base(spec: backbones.BackboneSpec) -> str:
    # "resnet50+torch" has the arrays of ResNet-50 in another graph.
    return spec.name.partition("+")[0]


def _check_graph(file: reader.StateDict, base: str) -> None:
    """Raises `UsageError` for files of timm in a graph that is not known."""
    config = weights_configs.read_config(file.path)
    name = config.architecture if config else ""
    # TensorFlow's padding and epsilon, which timm keeps for ported weights.
    if name.startswith("tf_"):
        raise errors.UsageError(
            f"--weights={file.path} is of timm's {name}, whose graph has the "
            "padding of TensorFlow; such files are not readable yet. Use the "
            "ImageNet weights of Keras, --weights=imagenet, or those of timm "
            "without tf_."
        )
    if file.is_ambiguous and not config:
        raise errors.UsageError(
            f"--weights={file.path} has the names of timm, whose networks of "
            "one name have two graphs (efficientnet_b0, tf_efficientnet_b0). "
            f"Put timm's {weights_configs.NAME} beside it, which names the "
            "network."
        )
    # 1e-5 in timm, 1e-3 in torchvision.
    if file.is_ambiguous and base in _OTHER_EPSILON:
        raise errors.UsageError(
            f"--weights={file.path} has the names of timm, whose {base} has "
            "another epsilon than torchvision's; such files are not readable "
            "yet. Give a file of torchvision."
        )


def _check_hash(file: reader.StateDict) -> None:
    """Raises `RunError` if a file's name holds the hash of another content.

    torchvision's files are named so: resnet50-0676ba61.pth.
    """
    found = re.search(r"-([0-9a-f]{8})$", file.path.stem)
    if found and not file.sha256.startswith(found[1]):
        raise errors.RunError(
            f"The sha256 of {file.path} begins with {file.sha256[:8]}, not "
            f"with {found[1]} as its name says: the download is incomplete, or "
            "the file was changed. Download it again, or give a changed file "
            "another name."
        )
