"""Layers of a model that a weights file may fill."""

import dataclasses
import re
from typing import Any

from tf_finetune.weights import layer_matching


def list_layers(model: Any) -> list[layer_matching.Unit]:
    """Returns the layers with weights of a model, those in nested models too.

    Keras 3 files call the layers of a model by class and count, in the order
    of `model.layers`; that is reproduced here.
    Source: keras/src/saving/saving_lib.py, `_save_container_state`.
    """
    return _list_layers(model, (), ())


def _list_layers(
    model: Any, kind: tuple[str, ...], order: tuple[int, ...]
) -> list[layer_matching.Unit]:
    found: list[layer_matching.Unit] = []
    counts: dict[str, int] = {}
    for layer in model.layers:
        base = to_snake_case(type(layer).__name__)
        place = counts.get(base, -1) + 1
        counts[base] = place
        if getattr(layer, "layers", None):
            found += _list_layers(layer, (*kind, base), (*order, place))
        elif layer.weights:
            found.append(
                layer_matching.Unit(
                    name=layer.name,
                    kind=(*kind, base),
                    order=(*order, place),
                    variables=tuple(layer.weights),
                    layer=layer,
                )
            )
    return found


def list_top_layers(model: Any) -> list[layer_matching.Unit]:
    """Returns the layers with weights of a model, nested models as one layer.

    Classic files keep the variables of a nested model that train before those
    that do not.
    """
    return [
        layer_matching.Unit(
            name=layer.name,
            kind=(to_snake_case(type(layer).__name__),),
            order=(place,),
            # The order in which a classic file keeps them.
            variables=tuple(
                layer.trainable_weights + layer.non_trainable_weights
            ),
            layer=None if getattr(layer, "layers", None) else layer,
        )
        for place, layer in enumerate(model.layers)
        if layer.weights
    ]


def list_flat_layers(model: Any) -> list[layer_matching.Unit]:
    """Returns `list_layers` with classes and order as in classic files."""
    return [
        dataclasses.replace(unit, kind=unit.kind[-1:], order=(place,))
        for place, unit in enumerate(list_layers(model))
    ]


def to_snake_case(name: str) -> str:
    """Spells a class as Keras does in names: DepthwiseConv2D, depthwise_conv2d.

    Source: keras/src/utils/naming.py, `to_snake_case`.
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def find_norms_behind(model: Any) -> dict[int, Any]:
    """Returns the batch norm that alone reads a layer's output, by id(layer).

    Args:
        model: Nested models are searched too.
    """
    # Layers by id(layer) of the one whose output they read.
    readers: dict[int, list[Any]] = {}
    # `_inbound_nodes` has one node for each call of an operation.
    for operation in _list_operations(model):
        for node in operation._inbound_nodes:
            for tensor in node.input_tensors:
                before = tensor._keras_history.operation
                readers.setdefault(id(before), []).append(operation)
    return {
        before: each[0]
        for before, each in readers.items()
        if len(each) == 1 and type(each[0]).__name__ == "BatchNormalization"
    }


def _list_operations(model: Any) -> list[Any]:
    found = []
    for operation in model.operations:
        found.append(operation)
        if getattr(operation, "layers", None):
            found += _list_operations(operation)
    return found
