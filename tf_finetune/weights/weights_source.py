"""Checks of `--weights` that need no TensorFlow."""

import dataclasses
import os
import pathlib

from tf_finetune import errors
from tf_finetune.backbones import backbone, catalog, torch_names
from tf_finetune.weights import (
    foreign_formats,
    packaged_weights,
    weights_file,
)
from tf_finetune.weights.torch import torch_files, weights_configs


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Value of `--weights`, split into a path and a part of the file there.

    Attributes:
        path: Path of the file or folder.
        part: Name of a model or layers in the file; "" for all of it.
    """

    path: pathlib.Path
    part: str = ""


def check_weights(spec: backbone.BackboneSpec, weights: str) -> None:
    """Checks that weights exist and can be those of a backbone.

    Only names, file types and the flags of an earlier run are looked at, no
    arrays.

    Args:
        spec: Description of the backbone.
        weights: "imagenet", "none", a name in `spec.bundled_weights`, or a
            path.

    Raises:
        UsageError: There is no such name or path, or no readable weights file;
            the backbone has no ImageNet weights; or a workdir is that of
            another backbone.
        RunError: The file is damaged.
    """
    if weights == "none" or weights in dict(spec.bundled_weights):
        return
    if weights == "imagenet":
        check_published(spec)
        return
    path = parse_source(weights).path
    # A word is a misspelled name unless a file is called so; prefixes such as
    # variables of a checkpoint get the advice of `foreign_formats`.
    absent = _is_name(weights) and not os.path.lexists(path)
    if not weights or (absent and not foreign_formats.describe_prefix(path)):
        unknown = errors.make_unknown_error(
            "weights", weights, list_names(spec)
        )
        raise errors.UsageError(
            f"{unknown} No file or folder has that name either."
        )
    kind = weights_file.detect_kind(path)
    if kind == "workdir":
        check_workdir(spec, path)
    if kind == "torch":
        source = parse_source(weights)
        torch_files.check_file(spec, source.path, part=source.part)


def parse_origin(init_from: str) -> tuple[str, str]:
    """Splits a value of `--init_from` into a backbone and its weights.

    Args:
        init_from: NAME, NAME=WEIGHTS or the workdir of an earlier run.

    Returns:
        The backbone as `--backbone` takes it, in the graph of its weights, and
        these as `--weights` takes them.

    Raises:
        UsageError: No backbone is called so, the weights are random, unknown or
            missing, or a path is no workdir.
        RunError: A file is damaged.
    """
    # At the first "=": no backbone's name has one, a path may.
    name, sign, weights = init_from.partition("=")
    path = pathlib.Path(init_from).expanduser()
    if (path / "run.flags").is_file():
        name, weights = weights_file.read_backbone(path) or "", str(path)
    elif not sign and path.exists():
        raise errors.UsageError(
            f"--init_from={init_from} does not tell the file's backbone. Give "
            f"--init_from=NAME={init_from}, e.g. with NAME mobilenet@0.5."
        )
    elif not weights:
        weights = "imagenet"
    spec, _ = catalog.find_spec(name)
    if weights == "none":
        raise errors.UsageError(
            f"--init_from={init_from}: random weights are worth nothing to "
            "another network. Give the path of trained ones."
        )
    try:
        check_weights(spec, weights)
    except errors.UsageError as error:
        raise errors.UsageError(
            f"--init_from={init_from}, whose weights are read as those of "
            f"--weights, is not possible. {error}"
        ) from error
    return choose_graph(name, weights), weights


def choose_graph(backbone: str, weights: str) -> str:
    """Returns the name of a backbone in the graph that weights belong to.

    Args:
        backbone: As `--backbone` takes it.
        weights: As `--weights` takes them.

    Returns:
        "resnet50+torch" for "resnet50" and a PyTorch file, else `backbone`.

    Raises:
        UsageError: torchvision has no network of this width.
    """
    spec, _ = catalog.find_spec(backbone)
    path = parse_source(weights).path
    if not weights or weights in list_names(spec) or not path.is_file():
        return backbone
    if weights_file.detect_kind(path) != "torch":
        return backbone
    return torch_names.find_torch_name(backbone) or backbone


def is_adapter(backbone: str, weights: str) -> bool:
    """Returns whether a value of `--weights` is the path of an adapter file.

    Args:
        backbone: As `--backbone` takes it.
        weights: As `--weights` takes them.
    """
    spec, _ = catalog.find_spec(backbone)
    path = parse_source(weights).path
    if not weights or weights in list_names(spec) or not path.is_file():
        return False
    return weights_file.detect_kind(path) == "adapter"


def choose_preprocessing(backbone: str, weights: str, asked: str) -> str:
    """Returns the preprocessing that weights belong to.

    Args:
        backbone: As `--backbone` takes it.
        weights: As `--weights` takes them.
        asked: Value of `--preprocessing`; "auto": not given.

    Returns:
        That of the `config.json` beside a PyTorch file, else `asked`.

    Raises:
        UsageError: It is given and contradicts that file, the weights are not
            of PyTorch, or the backbone scales its pictures itself.
    """
    spec, _ = catalog.find_spec(backbone)
    path = parse_source(weights).path
    is_word = not weights or weights in list_names(spec)
    if not is_word and not os.path.lexists(path):
        return asked  # `check_weights` says what is wrong with it.
    if is_word or weights_file.detect_kind(path) != "torch":
        if asked != "auto":
            raise errors.UsageError(
                f"--preprocessing={asked} is for PyTorch files; the scaling "
                f"of --weights={weights} is known. Leave it out."
            )
        return asked
    config = weights_configs.read_config(path)
    found = config.preprocessing if config else None
    if found and asked not in ("auto", found):
        raise errors.UsageError(
            f"--preprocessing={asked} contradicts {config.path}, which says "
            f"{found}. Leave it out."
        )
    chosen = found or asked
    if spec.preprocessing == "in_graph":
        # ConvNeXt standardizes in its own graph, by ImageNet's numbers.
        if chosen not in ("auto", "torch"):
            raise errors.UsageError(
                f"--preprocessing={chosen}: {spec.name} scales its pictures "
                "itself, by ImageNet's mean and standard deviation."
            )
        return "auto"
    return chosen


def list_names(spec: backbone.BackboneSpec) -> tuple[str, ...]:
    """Lists the names that `--weights` accepts for a backbone.

    Returns:
        "imagenet" if such weights are published, "none", and those of
        `spec.bundled_weights`; paths are accepted, too.
    """
    published = ("imagenet",) if spec.has_imagenet_weights else ()
    return (*published, "none", *dict(spec.bundled_weights))


def check_published(spec: backbone.BackboneSpec) -> None:
    """Checks that ImageNet weights of a backbone can be downloaded or read.

    Raises:
        UsageError: Nobody publishes them for Keras, or the package that holds
            them is not installed.
    """
    if spec.weights_package is not None:
        packaged_weights.check_installed(spec)
    elif spec.weights_url is None:
        known = ", ".join(f"--weights={name}" for name in list_names(spec))
        raise errors.UsageError(
            f"There are no ImageNet weights for {spec.name!r} in Keras' "
            f"layout. What exists: {known}, or --weights=PATH of a .h5, "
            ".weights.h5, .keras or PyTorch file, or of an earlier run."
        )


def check_workdir(spec: backbone.BackboneSpec, workdir: pathlib.Path) -> None:
    """Checks that an earlier run had this backbone.

    Its width ("@0.25") and squeeze-and-excitation blocks ("+se") are not
    compared.

    Args:
        spec: Description of the backbone.
        workdir: Folder of the earlier run.

    Raises:
        UsageError: Its run.flags names another backbone or none.
    """
    earlier = weights_file.read_backbone(workdir)
    if earlier is None:
        raise errors.UsageError(
            f"--weights={workdir}: its run.flags names no --backbone. Give the "
            "model.weights.h5 in it instead."
        )
    # Squeeze-and-excitation blocks ("+se") are compared later, with surgery.
    plain = earlier.removesuffix("+se")
    if plain.partition("@")[0] != spec.name and ":" not in earlier:
        raise errors.UsageError(
            f"--weights={workdir} is a run of --backbone={earlier}, but "
            f"--backbone={spec.name} was asked for. Use "
            f"--backbone={earlier}, or other weights."
        )


def _is_name(weights: str) -> bool:
    """Returns whether a value looks like a name rather than a path."""
    return not any(sign in weights for sign in "./\\~")


def parse_source(weights: str) -> WeightsSource:
    """Splits "PATH::PART" into a path and the name of a part of the file.

    A file or folder whose name is the whole value has no part. "~" is
    expanded, and a folder with a `config.json` of PyTorch weights becomes the
    weights file in it; nothing is checked.
    """
    whole = pathlib.Path(weights).expanduser()
    # From the right: the path itself may contain "::".
    name, sign, part = weights.rpartition("::")
    if not sign or not name or os.path.lexists(whole):
        inside = weights_configs.find_weights(whole) if whole.is_dir() else None
        return WeightsSource(path=inside or whole)
    return WeightsSource(
        path=pathlib.Path(name).expanduser(), part=part.strip("/")
    )
