"""A network built anew with some layers changed, all others copied."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import topology

Replace = Callable[[keras.Operation], keras.Operation | None]
Call = Callable[..., keras.KerasTensor]


def rebuilt(
    model: keras.Model,
    *,
    replace: Replace | None = None,
    call: Call | None = None,
    inputs: keras.KerasTensor | None = None,
) -> keras.Model:
    """Builds a network from copies of its layers.

    Copies, because a layer that is called twice is part of two graphs, and
    what is found by the shape of a graph (feature maps, stages, cuts) would be
    found in the first one.

    Args:
        model: A flat graph of one input and one output, each layer called
            once.
        replace: Operation → what takes its place; None: a copy of it, which
            gets its weights, bit equal.
        call: `(new operation, arguments, keywords)` → output, where something
            else than a call is to be done. What it does not call is gone.
        inputs: The new input; None: one like the old one.

    Returns:
        A network of the same name. Nothing in it is shared with the old one.
    """
    images = inputs if inputs is not None else _input_like(model)
    tensors = {id(model.inputs[0]): images}
    copies: list[tuple[keras.Operation, keras.Operation]] = []
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        new = replace(operation) if replace else None
        if new is None:
            new = copy(operation)
            copies.append((operation, new))
        arguments, keywords = _arguments(operation, tensors)
        if call is None:
            output = new(*arguments, **keywords)
        else:
            output = call(new, arguments, keywords)
        tensors[id(operation.output)] = output
    (source,) = keras.utils.get_source_inputs(images)
    result = keras.Model(
        source,
        tensors[id(model.outputs[0])],
        name=model.name,
    )
    present = {id(operation) for operation in result.operations}
    for old, new in copies:
        if id(new) in present:
            carry_over(old, new)
    return result


def copy(operation: keras.Operation) -> keras.Operation:
    """Returns an operation of the same settings and name, weights aside."""
    return type(operation).from_config(operation.get_config())


def carry_over(old: keras.Operation, new: keras.Operation) -> None:
    """Gives a copied layer the weights of the original."""
    if not getattr(old, "weights", None):
        return
    new.set_weights(old.get_weights())
    # Normalization computes with what it derives from its weights.
    if hasattr(new, "finalize_state"):
        new.finalize_state()


def with_model(
    backbone: backbones.Backbone, model: keras.Model
) -> backbones.Backbone:
    """Returns the backbone with another network, its parts found anew."""
    maps = topology.feature_maps(model)
    return backbones.Backbone(
        spec=backbone.spec,
        alpha=backbone.alpha,
        image_size=backbone.image_size,
        model=model,
        feature_maps=maps,
        stages=topology.stages(model, maps),
    )


def _input_like(model: keras.Model) -> keras.KerasTensor:
    (old,) = model.inputs
    return keras.Input(old.shape[1:], dtype=old.dtype, name=old.name)


def _arguments(
    operation: keras.Operation, tensors: Mapping[int, keras.KerasTensor]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns what an operation was called with, in terms of new tensors."""
    (node,) = operation._inbound_nodes

    def new(value: Any) -> Any:
        if isinstance(value, keras.KerasTensor):
            return tensors[id(value)]
        return value

    arguments = keras.tree.map_structure(new, node.arguments.args)
    keywords = {
        name: keras.tree.map_structure(new, value)
        for name, value in node.arguments.kwargs.items()
        # Keras notes them for layers that know them, given or not; what takes
        # a layer's place may not.
        if value is not None or name not in ("training", "mask")
    }
    return tuple(arguments), keywords
