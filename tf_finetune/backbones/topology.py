"""Feature maps and stages, found by the shape of the graph.

Names do not serve: keras.applications numbers many layers by a counter that
runs through the whole process.
"""

import math
from collections.abc import Iterator

import keras

from tf_finetune.backbones import backbone as backbones

_STRIDES = (2, 4, 8, 16, 32)

_STRIDED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)
# These prepare the next layer and are no features themselves.
_NO_FEATURES = (
    keras.layers.InputLayer,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
)
_MERGING = (keras.layers.Add, keras.layers.Concatenate)


def feature_maps(model: keras.Model) -> dict[int, keras.KerasTensor]:
    """Finds the feature map at each stride, the richest one there is.

    At each stride this is the last tensor that all information passes
    through, i.e. the end of the last block at that resolution. In graphs whose
    blocks look two blocks back (NASNet) there is no such tensor; there it is
    the merge of branches that lies farthest from the input. The last one in
    order would be the preparation of an earlier block's output.

    Args:
        model: One input, one output, [batch, height, width, channels].

    Returns:
        By stride (input pixels a feature-map pixel), rising; those of 2, 4,
        8, 16 and 32 that exist. The last one is the model's output.
    """
    strides = _strides(model)
    waist = set(cuts(model))
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
            found[wanted] = _deepest(model, there).output
    found[max(found)] = model.outputs[0]
    return found


def stages(
    model: keras.Model, maps: dict[int, keras.KerasTensor]
) -> tuple[backbones.Stage, ...]:
    """Divides the layers by the feature map that they lead to.

    Args:
        model: As for `feature_maps`.
        maps: What `feature_maps` found.

    Returns:
        One stage a feature map; "stageN" ends at stride 2 to the N. A layer
        belongs to the first one it is needed for.
    """
    makers = _makers(model)
    taken: set[int] = set()
    found = []
    for stride, tensor in maps.items():
        needed = _ancestors(makers[id(tensor)], makers) - taken
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


def cuts(model: keras.Model) -> Iterator[keras.Operation]:
    """Yields the operations whose output every path to the end goes through.

    Going through the operations in order, these are the points at which
    nothing else that was computed is still needed.
    """
    waiting: dict[int, int] = {}
    for operation in model.operations:
        for tensor in inputs_of(operation):
            waiting[id(tensor)] = waiting.get(id(tensor), 0) + 1
    last = id(model.outputs[0])
    waiting[last] = waiting.get(last, 0) + 1
    live: set[int] = set()
    for operation in model.operations:
        for tensor in inputs_of(operation):
            waiting[id(tensor)] -= 1
            if not waiting[id(tensor)]:
                live.discard(id(tensor))
        live.add(id(operation.output))
        if live == {id(operation.output)}:
            yield operation


def inputs_of(operation: keras.Operation) -> list[keras.KerasTensor]:
    """Returns the tensors an operation is computed from."""
    if isinstance(operation, keras.layers.InputLayer):
        return []
    return keras.tree.flatten(operation.input)


def factor(operation: keras.Operation) -> int:
    """Returns by how much an operation makes the stride larger; 1: not."""
    if isinstance(operation, keras.Model):
        return math.prod(factor(layer) for layer in operation.layers)
    return operation.strides[0] if isinstance(operation, _STRIDED) else 1


def _strides(model: keras.Model) -> dict[keras.Operation, int]:
    """Returns the stride of what each operation is computed at."""
    found: dict[int, int] = {}
    result = {}
    for operation in model.operations:
        before = [found[id(tensor)] for tensor in inputs_of(operation)]
        stride = max(before, default=1) * factor(operation)
        result[operation] = found[id(operation.output)] = stride
    return result


def _is_feature(operation: keras.Operation) -> bool:
    is_spatial = len(operation.output.shape) == 4
    return is_spatial and not isinstance(operation, _NO_FEATURES)


def _deepest(
    model: keras.Model, operations: list[keras.Operation]
) -> keras.Operation:
    """Returns the one farthest from the input, a merging one if there is any.

    Args:
        model: The whole graph.
        operations: Some of its operations, to choose from.
    """
    depths: dict[int, int] = {}
    for operation in model.operations:
        before = [depths[id(tensor)] for tensor in inputs_of(operation)]
        depths[id(operation.output)] = max(before, default=0) + 1
    merging = [each for each in operations if isinstance(each, _MERGING)]
    return max(merging or operations, key=lambda each: depths[id(each.output)])


def _makers(model: keras.Model) -> dict[int, keras.Operation]:
    """Returns the operation that makes each tensor, by the tensor's id."""
    return {id(each.output): each for each in model.operations}


def _ancestors(
    operation: keras.Operation, makers: dict[int, keras.Operation]
) -> set[int]:
    """Returns the ids of an operation and of all it is computed from."""
    found: set[int] = set()
    open_ = [operation]
    while open_:
        current = open_.pop()
        if id(current) in found:
            continue
        found.add(id(current))
        open_ += [makers[id(tensor)] for tensor in inputs_of(current)]
    return found
