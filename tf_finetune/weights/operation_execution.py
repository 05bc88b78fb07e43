"""Runs one operation of a file's graph that is not a layer.

Names are looked up in an allowlist; see `layer_execution`.
"""

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_finetune.weights import config_graph, layer_execution

# Options that operations read.
_OPERATION_OPTIONS = frozenset(("axis", "dtype", "keepdims"))
# Layers of Keras 2 that are an operation of TensorFlow.
OPERATION_LAYERS = frozenset(
    ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
)


def run_operation(
    node: config_graph.Node, args: Any, kwargs: dict[str, Any]
) -> Any:
    """Computes an operation that is not a layer, of Keras 3 or of Keras 2."""
    name = node.class_name
    if name == "TensorFlowOpLayer":
        name, args = _parse_old_operation(node, args)
    elif name in OPERATION_LAYERS:
        name = str(node.config.get("function", ""))
    kwargs = {k: v for k, v in kwargs.items() if v is not None and k != "name"}
    operation = _OPERATIONS.get(name)
    if operation is None:
        raise layer_execution.UnsupportedNodeError(
            f"{name or node.class_name} {node.name!r}"
        )
    options = {k: v for k, v in node.config.items() if k in _OPERATION_OPTIONS}
    try:
        return operation([*args, *kwargs.values()], options)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise layer_execution.UnsupportedNodeError(
            f"{name} {node.name!r}: {error}"
        ) from error


def _parse_old_operation(
    node: config_graph.Node, args: Any
) -> tuple[str, list[Any]]:
    """Returns name and arguments of an operation saved by TensorFlow 2.3."""
    definition = node.config.get("node_def")
    if isinstance(definition, str):
        definition = json.loads(definition)
    given = list(args[0]) if isinstance(args[0], list) else [args[0]]
    # Constant arguments are kept apart, by their position.
    constants = node.config.get("constants", {})
    for place in sorted(constants, key=int):
        given.insert(int(place), constants[place])
    if definition["op"] == "StridedSlice":
        # The one slice of preprocessing layers: RGB to BGR, x[..., ::-1].
        if list(given[3])[-1] != -1 or not int(
            definition["attr"].get("ellipsis_mask", {}).get("i", 0)
        ):
            raise layer_execution.UnsupportedNodeError(
                f"StridedSlice {node.name!r}"
            )
        return "Reverse", given[:1]
    return definition["op"], given


def _make_binary(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(args: list[Any], options: Any) -> Any:
        one, two = (
            each if hasattr(each, "shape") else np.asarray(each, "float32")
            for each in args[:2]
        )
        return function(one, two)

    return apply


def _slice(args: list[Any], options: Any) -> Any:
    value, key = args[0], args[1]
    return np.asarray(value)[_parse_index(key)]


def _parse_index(key: Any) -> Any:
    if isinstance(key, list):
        return tuple(_parse_index(each) for each in key)
    if isinstance(key, dict) and key.get("class_name") == "__ellipsis__":
        return Ellipsis
    if isinstance(key, dict):
        return slice(*(key.get(each) for each in ("start", "stop", "step")))
    return key


def _stack(args: list[Any], options: Any) -> Any:
    return np.stack([np.asarray(each) for each in args[0]], options["axis"])


def _concatenate(args: list[Any], options: Any) -> Any:
    parts = [np.asarray(each) for each in args[0]]
    return np.concatenate(parts, options.get("axis", -1))


def _make_reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(args: list[Any], options: Any) -> Any:
        axis = options["axis"]
        axis = tuple(axis) if isinstance(axis, list) else axis
        keepdims = options.get("keepdims", False)
        return function(np.asarray(args[0]), axis=axis, keepdims=keepdims)

    return apply


# Names in Keras 3, in a TFOpLambda of Keras 2 (math.truediv), and of raw
# operations in a TensorFlowOpLayer (RealDiv).
_OPERATIONS: dict[str, Callable[[list[Any], Any], Any]] = {
    **dict.fromkeys(
        ("TrueDivide", "Divide", "math.truediv", "math.divide", "RealDiv"),
        _make_binary(lambda one, two: one / two),
    ),
    **dict.fromkeys(
        ("Subtract", "math.subtract", "Sub"),
        _make_binary(lambda one, two: one - two),
    ),
    **dict.fromkeys(
        (
            "Add",
            "math.add",
            "__operators__.add",
            "nn.bias_add",
            "AddV2",
            "BiasAdd",
        ),
        _make_binary(lambda one, two: one + two),
    ),
    **dict.fromkeys(
        ("Multiply", "math.multiply", "Mul"),
        _make_binary(lambda one, two: one * two),
    ),
    **dict.fromkeys(("GetItem", "__operators__.getitem"), _slice),
    **dict.fromkeys(("Negative", "math.negative"), lambda a, o: -a[0]),
    **dict.fromkeys(
        ("Cast", "cast"), lambda a, o: np.asarray(a[0]).astype("float32")
    ),
    "Flip": lambda a, o: np.flip(np.asarray(a[0]), o["axis"]),
    "Reverse": lambda a, o: np.asarray(a[0])[..., ::-1],
    "Stack": _stack,
    "Sum": _make_reduction(np.sum),
    "Mean": _make_reduction(np.mean),
    "Concatenate": _concatenate,
    **dict.fromkeys(("Relu", "nn.relu"), lambda a, o: keras.ops.relu(a[0])),
    **dict.fromkeys(("Relu6", "nn.relu6"), lambda a, o: keras.ops.relu6(a[0])),
}
