"""Feature maps and stages, found from the structure of the graph.

Layer names cannot be used: keras.applications numbers many layers by a counter
that runs through the whole process.
"""

import math
from collections.abc import Iterator
from typing import Any

import keras

from tf_finetune.backbones import backbone as backbones

_STRIDES = (2, 4, 8, 16, 32)

_STRIDED_LAYERS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)
# These prepare the next layer; their outputs are not features.
_NO_FEATURES = (
    keras.layers.InputLayer,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
)
_MERGES = (keras.layers.Add, keras.layers.Concatenate)


def find_feature_maps(model: keras.Model) -> dict[int, keras.KerasTensor]:
    """Finds the last feature map at each stride of a network.

    At each stride this is the last tensor that all information passes through,
    i.e. the end of the last block at that resolution. In graphs whose blocks
    look two blocks back (NASNet) there is no such tensor; there it is the merge
    of branches that lies farthest from the input. The last one in order would
    be the preparation of an earlier block's output.

    Args:
        model: Functional model with one input and one output, [batch, height,
            width, channels].

    Returns:
        Tensors [batch, height, width, channels] of its graph by stride (input
        pixels per feature-map pixel), ascending; those of 2, 4, 8, 16 and 32
        that exist. The last one is the model's output.
    """
    strides = _compute_strides(model)
    waist = set(find_bottlenecks(model))
    found: dict[int, keras.KerasTensor] = {}
    for wanted in _STRIDES:
        there = [
            operation
            for operation in model.operations
            if strides[operation] == wanted and _is_feature(operation)
        ]
        passed_by_all = [each for each in there if each in waist]
        if passed_by_all:
            found[wanted] = passed_by_all[-1].output
        elif there:
            found[wanted] = _find_deepest(model, there).output
    found[max(found)] = model.outputs[0]
    return found


def find_stages(
    model: keras.Model, maps: dict[int, keras.KerasTensor]
) -> tuple[backbones.Stage, ...]:
    """Divides the layers of a network into stages, one per feature map.

    Args:
        model: Model that was passed to `find_feature_maps`.
        maps: Feature maps that it returned.

    Returns:
        One stage per feature map, from the input on; "stageN" ends at stride 2
        to the N. A layer belongs to the first stage that needs it.
    """
    makers = _map_makers(model)
    taken: set[int] = set()
    found = []
    for stride, tensor in maps.items():
        # Maps rise in stride: shared layers go to the finest map.
        needed = _find_ancestors(makers[id(tensor)], makers) - taken
        taken |= needed
        names = [layer.name for layer in model.layers if id(layer) in needed]
        found.append(
            backbones.Stage(
                name=f"stage{int(math.log2(stride))}",
                stride=stride,
                layer_names=tuple(names),
            )
        )
    return tuple(found)


def find_bottlenecks(model: keras.Model) -> Iterator[keras.Operation]:
    """Yields operations whose output every path to the model's output passes.

    In topological order these are the points at which no other tensor is still
    needed (articulation points of the graph).

    Args:
        model: Functional model with one output.
    """
    # How often each tensor is still to be read.
    waiting: dict[int, int] = {}
    for operation in model.operations:
        for tensor in list_inputs(operation):
            waiting[id(tensor)] = waiting.get(id(tensor), 0) + 1
    # The model's output is read by the caller.
    last = id(model.outputs[0])
    waiting[last] = waiting.get(last, 0) + 1
    live: set[int] = set()
    for operation in model.operations:
        for tensor in list_inputs(operation):
            waiting[id(tensor)] -= 1
            if not waiting[id(tensor)]:
                live.discard(id(tensor))
        live.add(id(operation.output))
        # Only this output is alive: all later operations depend on it alone.
        if live == {id(operation.output)}:
            yield operation


def list_inputs(operation: keras.Operation) -> list[keras.KerasTensor]:
    """Lists the input tensors of an operation; an input layer has none."""
    if isinstance(operation, keras.layers.InputLayer):
        return []
    return keras.tree.flatten(operation.input)


def find_calls(model: keras.Model) -> dict[keras.Operation, Any]:
    """Finds where each operation of a graph is called.

    Parts of a network that is split share its layers, which are called once
    more for each part; `Operation.input` and `.output` tell of the first call.

    Args:
        model: Graph in which each operation is called once.

    Returns:
        The node of the call by operation, in topological order.
    """
    # All nodes of the graph; Keras has no public way to them.
    nodes = [node for each in model._nodes_by_depth.values() for node in each]
    calls = {node.operation: node for node in nodes}
    if len(calls) < len(nodes):
        raise ValueError(f"{model.name} calls an operation twice.")
    return {operation: calls[operation] for operation in model.operations}


def get_stride_factor(operation: keras.Operation) -> int:
    """Returns the stride of a convolution or pooling; 1 for others.

    For a nested model it is the product over its layers.
    """
    if isinstance(operation, keras.Model):
        return math.prod(get_stride_factor(layer) for layer in operation.layers)
    return operation.strides[0] if isinstance(operation, _STRIDED_LAYERS) else 1


def _compute_strides(model: keras.Model) -> dict[keras.Operation, int]:
    """Returns the stride of each operation's output."""
    found: dict[int, int] = {}
    result = {}
    for operation in model.operations:
        before = [found[id(tensor)] for tensor in list_inputs(operation)]
        stride = max(before, default=1) * get_stride_factor(operation)
        result[operation] = found[id(operation.output)] = stride
    return result


def _is_feature(operation: keras.Operation) -> bool:
    # [batch, height, width, channels].
    is_spatial = len(operation.output.shape) == 4
    return is_spatial and not isinstance(operation, _NO_FEATURES)


def _find_deepest(
    model: keras.Model, operations: list[keras.Operation]
) -> keras.Operation:
    """Finds the operation farthest from the input, preferring merges.

    Args:
        model: The whole graph.
        operations: Some of its operations, to choose from.
    """
    depths: dict[int, int] = {}
    for operation in model.operations:
        before = [depths[id(tensor)] for tensor in list_inputs(operation)]
        # Length of the longest path from the input.
        depths[id(operation.output)] = max(before, default=0) + 1
    merging = [each for each in operations if isinstance(each, _MERGES)]
    return max(merging or operations, key=lambda each: depths[id(each.output)])


def _map_makers(model: keras.Model) -> dict[int, keras.Operation]:
    """Maps each tensor's id to the operation that computes it."""
    return {id(each.output): each for each in model.operations}


def _find_ancestors(
    operation: keras.Operation, makers: dict[int, keras.Operation]
) -> set[int]:
    """Returns ids of an operation and of all operations it depends on."""
    found: set[int] = set()
    open_ = [operation]
    while open_:
        current = open_.pop()
        if id(current) in found:
            continue
        found.add(id(current))
        open_ += [makers[id(tensor)] for tensor in list_inputs(current)]
    return found
