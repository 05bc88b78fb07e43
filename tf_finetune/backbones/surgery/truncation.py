"""Truncation of a network at a layer: `--cut_at`."""

import fnmatch
import re

import keras

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import graph_copy, surgery_steps

_MAX_SHOWN = 40  # Layer names in an error message.


def truncate_backbone(
    backbone: backbones.Backbone, where: str
) -> tuple[backbones.Backbone, surgery_steps.Change]:
    """Truncates a backbone at a layer and drops all layers it does not need.

    Args:
        backbone: Backbone with its weights, left unchanged; the new one shares
            its layers.
        where: A stage ("stage4": its feature map is the last one), the name of
            a layer, or a pattern that one layer alone matches. Names that Keras
            numbers by a counter of the process (`activation_17`) mean what they
            mean in a process that builds this network first.

    Returns:
        A new backbone and the description of the change.

    Raises:
        UsageError: No layer, or several, match; or the output is not a feature
            map of trained layers.
    """
    tensor, name = _find_layer(backbone, where)
    whole = backbone.model
    model = keras.Model(whole.inputs[0], tensor, name=whole.name)
    if len(tensor.shape) != 4 or not model.weights:
        raise errors.UsageError(
            f"--cut_at={where}: {name} outputs {_format_shape(tensor)}, which "
            "is not a feature map of trained layers. "
            f"{_describe_choices(backbone)}"
        )
    gone = len(whole.layers) - len(model.layers)
    return graph_copy.replace_model(backbone, model), surgery_steps.Change(
        flag=f"--cut_at={where}",
        layers=f"above {name}",
        before=f"{gone} layers, to {_format_shape(whole.outputs[0])}",
        after=f"none; the last feature map is {_format_shape(tensor)}",
        dropped=whole.count_params() - model.count_params(),
    )


def _find_layer(
    backbone: backbones.Backbone, where: str
) -> tuple[keras.KerasTensor, str]:
    """Finds a layer; returns its output and its name."""
    makers = {id(each.output): each for each in backbone.model.operations}
    for stage in backbone.stages:
        if stage.name == where:
            tensor = backbone.feature_maps[stage.stride]
            return tensor, makers[id(tensor)].name
    named = _map_stable_names(backbone.model)
    names = [each for each in named if fnmatch.fnmatchcase(each, where)]
    # An exact name wins over its meaning as a pattern.
    if where in named:
        names = [where]
    if len(names) == 1:
        return named[names[0]].output, names[0]
    if names:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise errors.UsageError(
            f"--cut_at={where} matches {len(names)} layers of "
            f"{backbone.spec.name}: {', '.join(names[:8])}{more}. Name one of "
            "them."
        )
    raise errors.UsageError(
        f"No layer of {backbone.spec.name} is called --cut_at={where}. "
        f"{_describe_choices(backbone)}"
    )


def _map_stable_names(model: keras.Model) -> dict[str, keras.Operation]:
    """Maps names as in a fresh process to the operations.

    Keras numbers unnamed layers in the order of their creation, by a counter
    that runs through the process.
    """
    numbered: dict[str, list[tuple[int, keras.Operation]]] = {}
    found = {}
    for operation in model.operations:
        base, number = re.fullmatch(
            r"(.*?)(?:_(\d+))?", operation.name
        ).groups()
        # Named by Keras after its class: "conv2d_3", "re_lu_1".
        if base.replace("_", "") == type(operation).__name__.lower():
            numbered.setdefault(base, []).append((int(number or 0), operation))
        else:
            found[operation.name] = operation
    for base, operations in numbered.items():
        operations.sort(key=lambda each: each[0])
        for place, (_, operation) in enumerate(operations):
            found[f"{base}_{place}" if place else base] = operation
    return found


def _describe_choices(backbone: backbones.Backbone) -> str:
    """Describes where the backbone can be truncated."""
    stages = ", ".join(
        f"{stage.name} ({_format_shape(backbone.feature_maps[stage.stride])})"
        for stage in backbone.stages
    )
    names = {
        id(operation): name
        for name, operation in _map_stable_names(backbone.model).items()
    }
    layers = [
        names[id(layer)]
        for layer in backbone.model.layers
        if len(layer.output.shape) == 4 and layer.output is not layer.input
    ]
    step = -(-len(layers) // _MAX_SHOWN)
    some = "every one" if step == 1 else f"one in {step}"
    return (
        f"Possible are the stages {stages}, and names of layers, of which "
        f"this is {some}: {', '.join(layers[::step])}."
    )


def _format_shape(tensor: keras.KerasTensor) -> str:
    return "×".join(str(side) for side in tensor.shape[1:])
