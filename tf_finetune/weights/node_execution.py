"""Runs one layer or operation of a file's graph, from allowlists.

Classes that run code or read files, such as Lambda, are not on the lists.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.weights import config_graph


def _split_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Bounds on numbers in a config, so that it cannot ask for huge tensors.
_MAX_NUMBER = 8192
_MAX_PADDING = 64
_WEIGHTED_LAYERS = _split_words(
    "Conv2D DepthwiseConv2D SeparableConv2D Dense BatchNormalization "
    "LayerNormalization Normalization PReLU LayerScale"
)
_WEIGHTLESS_LAYERS = _split_words(
    "Rescaling Activation ReLU LeakyReLU ELU Softmax ZeroPadding2D Cropping2D "
    "Add Multiply Concatenate Average Maximum Subtract MaxPooling2D "
    "AveragePooling2D GlobalAveragePooling2D GlobalMaxPooling2D Flatten "
    "Reshape Permute UpSampling2D Resizing CenterCrop RandomGrayscale"
)
SPATIAL_LAYERS = _split_words(
    "ZeroPadding2D Cropping2D Resizing CenterCrop UpSampling2D"
)
# Layers that return their input unchanged in inference.
IDENTITY_LAYERS = _split_words(
    "InputLayer Dropout SpatialDropout2D GaussianNoise GaussianDropout "
    "AlphaDropout ActivityRegularization Identity RandomFlip RandomRotation "
    "RandomZoom RandomTranslation RandomContrast RandomBrightness RandomShear "
    "RandomHue RandomSaturation RandomColorJitter RandomColorDegeneration "
    "RandomSharpness RandomPosterization RandomErasing RandomPerspective "
    "RandomGaussianBlur RandomElasticTransform RandomInvert RandAugment AugMix "
    "CutMix MixUp StochasticDepth"
)
# Options that do not change the output in inference.
_IGNORED_OPTIONS = _split_words(
    "name dtype trainable batch_input_shape batch_shape ragged sparse optional "
    "synchronized renorm virtual_batch_size fused adjustment momentum "
    "implementation seed data_type kernel_initializer bias_initializer "
    "depthwise_initializer pointwise_initializer beta_initializer "
    "gamma_initializer moving_mean_initializer moving_variance_initializer "
    "alpha_initializer kernel_regularizer bias_regularizer "
    "depthwise_regularizer pointwise_regularizer beta_regularizer "
    "gamma_regularizer activity_regularizer alpha_regularizer "
    "kernel_constraint bias_constraint depthwise_constraint "
    "pointwise_constraint beta_constraint gamma_constraint alpha_constraint "
    "lora_rank lora_alpha quantization_config projection_dim"
)
# Options that operations read.
_OPERATION_OPTIONS = _split_words("axis dtype keepdims")
# Layers of Keras 2 that are an operation of TensorFlow.
OPERATION_LAYERS = _split_words("TFOpLambda SlicingOpLambda TensorFlowOpLayer")


class UnsupportedNodeError(Exception):
    """Error of a layer or operation that is not supported; names it."""


def run_layer(
    node: config_graph.Node, arrays: tuple[np.ndarray, ...], given: Any
) -> Any:
    """Builds one layer with the file's arrays and calls it for inference.

    `given` is its input: a tensor or a list. Returns its output.

    Raises:
        UnsupportedNodeError: Its class or an option of it is not on the
            allowlist, or its arrays have other sizes than its config says.
    """
    if node.class_name not in _WEIGHTED_LAYERS | _WEIGHTLESS_LAYERS:
        raise UnsupportedNodeError(f"{node.class_name} {node.name!r}")
    maker = getattr(keras.layers, node.class_name, None)
    # Not exported by Keras; only ConvNeXt has it.
    if node.class_name == "LayerScale":
        from keras.src.applications import convnext

        maker = convnext.LayerScale
    options = _collect_options(node, maker)
    _check_sizes(node, options, arrays)
    many = isinstance(given, list)
    shapes = [tuple(each.shape) for each in (given if many else [given])]
    try:
        layer = maker(**options, dtype="float32")
        layer.build(shapes if many else shapes[0])
        if arrays:
            layer.set_weights([np.asarray(each) for each in arrays])
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()
        return layer(given)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise UnsupportedNodeError(
            f"{node.class_name} {node.name!r}: {error}"
        ) from error


def _collect_options(
    node: config_graph.Node, maker: Callable[..., keras.layers.Layer]
) -> dict[str, Any]:
    known = inspect.signature(maker.__init__).parameters
    options = {}
    for key, value in node.config.items():
        if key in _IGNORED_OPTIONS:
            continue
        # Keras 2 writes the axis of a batch norm as a list.
        if key == "axis" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        if key == "groups" and key not in known and value == 1:
            continue
        # An unknown option might change the result: refuse, not ignore.
        if key not in known or not _is_plain(value):
            raise UnsupportedNodeError(
                f"{node.class_name} {node.name!r} with {key!r}"
            )
        options[key] = value
    return options


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= _MAX_NUMBER and all(map(_is_plain, value))
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return abs(value) <= _MAX_NUMBER
    return isinstance(value, float) or (
        isinstance(value, str) and len(value) < 64
    )


def _check_sizes(
    node: config_graph.Node,
    options: Mapping[str, Any],
    arrays: tuple[np.ndarray, ...],
) -> None:
    """Raises `UnsupportedNodeError` if sizes and arrays do not agree."""
    if node.class_name in SPATIAL_LAYERS:
        numbers = _iterate_numbers(
            [v for k, v in options.items() if k != "name"]
        )
        # Croppings (Cropping2D, CenterCrop) only shrink: a wider bound.
        bound = 1024 if "C" in node.class_name[:1] else _MAX_PADDING
        bound = 1024 if node.class_name == "Resizing" else bound
        if any(abs(each) > bound for each in numbers):
            raise UnsupportedNodeError(f"{node.class_name} {node.name!r}")
    if node.class_name not in _WEIGHTED_LAYERS:
        return
    if not arrays and node.class_name == "Normalization":
        return
    wanted = [options.get("filters"), options.get("units")]
    kernel = options.get("kernel_size")
    wanted += kernel if isinstance(kernel, list) else [kernel]
    held = {number for each in arrays for number in each.shape}
    if not arrays or not {each for each in wanted if each} <= held:
        raise UnsupportedNodeError(
            f"{node.class_name} {node.name!r}, whose arrays the file lacks"
        )


def _iterate_numbers(value: Any) -> Iterator[float]:
    if isinstance(value, list):
        for each in value:
            yield from _iterate_numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def run_operation(
    node: config_graph.Node, args: Any, kwargs: dict[str, Any]
) -> Any:
    """Computes an operation that is no layer; returns its output.

    Raises:
        UnsupportedNodeError: It is not on the allowlist or fails.
    """
    name = node.class_name
    if name == "TensorFlowOpLayer":
        name, args = _parse_old_operation(node, args)
    elif name in OPERATION_LAYERS:
        name = str(node.config.get("function", ""))
    kwargs = {k: v for k, v in kwargs.items() if v is not None and k != "name"}
    operation = _OPERATIONS.get(name)
    if operation is None:
        raise UnsupportedNodeError(f"{name or node.class_name} {node.name!r}")
    options = {k: v for k, v in node.config.items() if k in _OPERATION_OPTIONS}
    try:
        return operation([*args, *kwargs.values()], options)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise UnsupportedNodeError(f"{name} {node.name!r}: {error}") from error


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
            raise UnsupportedNodeError(f"StridedSlice {node.name!r}")
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
    return np.asarray(args[0])[_parse_index(args[1])]


def _parse_index(key: Any) -> Any:
    if isinstance(key, list):
        return tuple(_parse_index(each) for each in key)
    if isinstance(key, dict) and key.get("class_name") == "__ellipsis__":
        return Ellipsis
    if isinstance(key, dict):
        return slice(*(key.get(each) for each in ("start", "stop", "step")))
    return key


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
    "Stack": lambda a, o: np.stack(a[0], o["axis"]),
    "Sum": _make_reduction(np.sum),
    "Mean": _make_reduction(np.mean),
    "Concatenate": lambda a, o: np.concatenate(a[0], o.get("axis", -1)),
    **dict.fromkeys(("Relu", "nn.relu"), lambda a, o: keras.ops.relu(a[0])),
    **dict.fromkeys(("Relu6", "nn.relu6"), lambda a, o: keras.ops.relu6(a[0])),
}
