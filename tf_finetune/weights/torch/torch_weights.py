"""Loads a PyTorch file into a backbone that has the file's graph."""

import pathlib

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import catalog, torch_names
from tf_finetune.weights import merge_report, saved_weights
from tf_finetune.weights.torch import (
    architectures,
    families,
    matching,
    reader,
    torch_files,
    weights_configs,
)


def load(
    backbone: backbones.Backbone, path: pathlib.Path, *, part: str = ""
) -> tuple[reader.StateDict, merge_report.MergeReport]:
    """Loads a PyTorch file's weights into a backbone that was just built.

    Args:
        backbone: Its variables are assigned in place.
        path: A .pth, .pt, .bin or .safetensors file.
        part: Key of one of several networks in it ("model_ema"); "": the only
            one.

    Returns:
        The file's arrays, and a report in which every layer is matched and the
        file's classifier is unused.

    Raises:
        UsageError: The file holds another network or none.
        RunError: The backbone's graph is not the file's; or an array is
            missing, left over, or cannot be a weight. Nothing is assigned then.
    """
    spec = backbone.spec
    file = torch_files.check_file(spec, path, part=part)
    # Shapes do not tell the graphs apart: torchvision's ResNet-50 fits Keras'
    # shape by shape, and features are then 22 % off (with random weights).
    name = torch_names.find_torch_name(spec.name)
    if name is not None and spec.torch_rules is None:
        raise errors.RunError(
            f"{path} is a PyTorch file: its arrays fit {spec.name}, "
            "whose graph computes other features with them. Use "
            f"--backbone={name}."
        )
    family = families.find_family(spec.name)
    try:
        match = matching.match_arrays(backbone.model, family, file)
    except errors.RunError as error:
        raise errors.RunError(
            f"{file.path} does not hold the weights of {spec.name}: {error}. "
            f"It holds {architectures.describe(file)}. Nothing was loaded."
        ) from error
    # Only after every array has been checked: a refused file changes nothing.
    for variable, value in match.values:
        variable.assign(value)
    return file, merge_report.MergeReport(
        matched=tuple(match.modules),
        by_order=(),
        missing=(),
        unused=match.top,
        mismatched=(),
        prefix=file.prefix,
        share=1.0,
        paths=match.modules,
    )


def check_graph(
    spec: backbones.BackboneSpec, file: saved_weights.SavedWeights
) -> None:
    """Checks that a Keras file does not belong to another graph of a network.

    Args:
        spec: Backbone that the file is to be loaded into.
        file: Content of a Keras file. Its arrays may have the shapes of
            "NAME" and of "NAME+torch", which compute other features with them.

    Raises:
        UsageError: The file names a backbone with the other graph; or the
            backbone is "NAME+torch", and the file holds neither a graph nor the
            name of a run's backbone.
    """
    own = spec.name.partition("+")[0]
    theirs = (file.backbone or "").removesuffix("+se")
    if theirs.partition("+")[0] == own and theirs != spec.name:
        raise errors.UsageError(
            f"--weights={file.path} holds weights of --backbone="
            f"{file.backbone}, and {spec.name} computes other features with "
            f"them. Use --backbone={file.backbone}, or other weights."
        )
    if spec.torch_rules and not (file.graph or file.backbone):
        raise errors.UsageError(
            f"--weights={file.path} does not say which graph its arrays belong "
            f"to: {own} computes other features with them than "
            f"{spec.name}. Use --backbone={own} for weights of Keras; "
            "of an earlier run give the workdir or its model.keras."
        )


def describe_graph(spec: backbones.BackboneSpec, path: pathlib.Path) -> str:
    """Describes the graph and the preprocessing that a PyTorch file needs.

    Args:
        spec: Backbone that the file was loaded into.
        path: The file, the sentence's subject.

    Returns:
        A sentence for the log, without a period.
    """
    rules = spec.torch_rules or backbones.TorchRules(keeps_layers=True)
    differences = [
        words
        for differs, words in (
            (rules.strides_in_3x3, "blocks stride in their 3x3 convolution"),
            (rules.pads_both_sides, "strided convolutions pad both sides"),
            (rules.pools_padding, "average pooling counts its padding"),
            (rules.norms_scale, "batch norms have gamma"),
            (rules.drops_biases, "convolutions have no biases"),
            (
                rules.epsilon is not None,
                f"batch norms have epsilon {rules.epsilon}",
            ),
        )
        if differs
    ]
    graph = "the graph of torchvision"
    if rules.keeps_layers:
        graph = "a graph that is the same in PyTorch"
    return (
        f"{path.name} is a PyTorch file; {spec.name} has {graph}"
        + (f" ({', '.join(differences)})" if differences else "")
        + f", pictures are scaled {_SCALINGS[spec.preprocessing]} "
        + _describe_evidence(spec, path)
    )


def _describe_evidence(spec: backbones.BackboneSpec, path: pathlib.Path) -> str:
    """Describes in parentheses from where the scaling of pictures is known."""
    config = weights_configs.read_config(path)
    if config and config.preprocessing:
        return f"(as {config.path.name} beside it says)"
    usual, _ = catalog.find_spec(spec.name)
    if spec.preprocessing != usual.preprocessing:
        return "(--preprocessing)"
    return "(assumed from the network; the file does not say it)"


_SCALINGS = {
    "torch": "by ImageNet's mean and standard deviation",
    "tf": "to -1..1",
    # ConvNeXt has a Normalization layer of its own.
    "in_graph": "by ImageNet's mean and standard deviation",
    "lite": "as (x - 127) / 128",
    "caffe": "to blue, green, red minus ImageNet's mean",
}
