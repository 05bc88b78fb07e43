"""Rebuilding of a network with some layers replaced, all others copied."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import topology

ReplaceOperation = Callable[[keras.Operation], keras.Operation | None]
CallOperation = Callable[..., keras.KerasTensor]


def rebuild_model(
    model: keras.Model,
    *,
    replace: ReplaceOperation | None = None,
    call: CallOperation | None = None,
    inputs: keras.KerasTensor | None = None,
) -> keras.Model:
    """Rebuilds a network from copies of its layers, some of them replaced.

    Copies are needed because a layer that is called twice is part of two
    graphs, and analysis of the graph (feature maps, stages) would find the
    first one.

    Args:
        model: Flat graph of one input and one output, each layer called once;
            it is left unchanged.
        replace: Maps an operation to its replacement, whose weights the caller
            sets; where it returns None, and without `replace`, the operation is
            copied with its weights, bit-equal.
        call: Maps (new operation, arguments, keywords) to the output, in place
            of a plain call. An operation that it does not call is dropped.
        inputs: New input tensor of the network; None: one like the old input.

    Returns:
        A new model of the same name that shares no layer with the old one.
    """
    images = inputs if inputs is not None else _copy_input(model)
    tensors = {id(model.inputs[0]): images}
    copies: list[tuple[keras.Operation, keras.Operation]] = []
    for operation, made in topology.find_calls(model).items():
        if isinstance(operation, keras.layers.InputLayer):
            continue
        new = replace(operation) if replace else None
        if new is None:
            new = copy_operation(operation)
            copies.append((operation, new))
        arguments, keywords = map_arguments(made, tensors)
        if call is None:
            output = new(*arguments, **keywords)
        else:
            output = call(new, arguments, keywords)
        tensors[id(made.output_tensors[0])] = output
    (source,) = keras.utils.get_source_inputs(images)
    result = keras.Model(
        source,
        tensors[id(model.outputs[0])],
        name=model.name,
    )
    # Copied after the model exists: weights are created by the calls above.
    present = {id(operation) for operation in result.operations}
    for old, new in copies:
        if id(new) in present:
            copy_weights(old, new)
    return result


def copy_operation(operation: keras.Operation) -> keras.Operation:
    """Creates an operation of the same settings and name, without weights."""
    return type(operation).from_config(operation.get_config())


def copy_weights(old: keras.Operation, new: keras.Operation) -> None:
    """Copies the weights of a layer to a built layer of the same shapes.

    An operation without weights is skipped.
    """
    if not getattr(old, "weights", None):
        return
    new.set_weights(old.get_weights())
    # Normalization computes with values that it derives from its weights.
    if hasattr(new, "finalize_state"):
        new.finalize_state()


def replace_model(
    backbone: backbones.Backbone, model: keras.Model
) -> backbones.Backbone:
    """Returns a new backbone with another network, its feature maps and stages.

    Args:
        backbone: Backbone whose description is kept.
        model: Network from pictures to the last feature map.
    """
    maps = topology.find_feature_maps(model)
    return backbones.Backbone(
        spec=backbone.spec,
        alpha=backbone.alpha,
        image_size=backbone.image_size,
        model=model,
        feature_maps=maps,
        stages=topology.find_stages(model, maps),
    )


def _copy_input(model: keras.Model) -> keras.KerasTensor:
    (old,) = model.inputs
    return keras.Input(old.shape[1:], dtype=old.dtype, name=old.name)


def map_arguments(
    call: Any, tensors: Mapping[int, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Maps the arguments that an operation of a graph was called with.

    Args:
        call: Node of the call (`topology.find_calls`).
        tensors: What each symbolic input tensor becomes, by its `id`.

    Returns:
        Positional arguments and keywords to call the operation with; other
        values than tensors are as they were.
    """

    def new(value: Any) -> Any:
        if isinstance(value, keras.KerasTensor):
            return tensors[id(value)]
        return value

    arguments = keras.tree.map_structure(new, call.arguments.args)
    keywords = {
        name: keras.tree.map_structure(new, value)
        for name, value in call.arguments.kwargs.items()
        # Keras records these two for layers that take them, given or not; a
        # replacement may not take them.
        if value is not None or name not in ("training", "mask")
    }
    return tuple(arguments), keywords
