"""Arrays of PyTorch's modules in the layouts of Keras' layers."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

# Parts of a module, in the order of the variables of Keras' layers.
_KERNELS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
)
_AFFINE = ("weight", "bias")
_STATISTICS = ("running_mean", "running_var")


def iterate_layers(model: keras.Model) -> Iterator[Any]:
    """Yields the layers with weights of a model and of the models in it.

    They come in the order of `model.layers`, depth first.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from iterate_layers(layer)
        elif layer.weights:
            yield layer


def sort_by_creation(layers: Sequence[Any]) -> list[Any]:
    """Returns layers sorted by the number behind their names, in a new list.

    Keras numbers unnamed layers as they are built ("conv2d", "conv2d_1", …); a
    name without a number counts as 0.
    """

    def read_number(layer: Any) -> int:
        found = re.search(r"_(\d+)$", layer.name)
        return int(found[1]) if found else 0

    return sorted(layers, key=read_number)


def has_kernel(layer: Any) -> bool:
    """Returns whether a layer is a (depthwise) 2D convolution or dense."""
    return isinstance(layer, _KERNELS)


def list_parts(layer: Any) -> tuple[str, ...]:
    """Lists PyTorch's names of a layer's arrays, in order of `layer.weights`.

    Returns:
        E.g. ("weight", "bias", "running_mean", "running_var") for a batch norm
        and ("weight",) for a convolution without bias; ("",) for a layer whose
        array bears the module's name itself.
    """
    if isinstance(layer, keras.layers.BatchNormalization):
        affine = _AFFINE if layer.scale else _AFFINE[1:]
        return (*affine, *_STATISTICS)
    if isinstance(layer, keras.layers.LayerNormalization):
        return _AFFINE
    if has_kernel(layer):
        return _AFFINE if layer.use_bias else _AFFINE[:1]
    return ("",)


def convert_array(array: np.ndarray, layer: Any, variable: Any) -> np.ndarray:
    """Converts a PyTorch array to the layout of a Keras layer's variable.

    Kernels are [out, in, height, width] and [out, in] in PyTorch, [height,
    width, in, out] and [in, out] in Keras, of depthwise convolutions [height,
    width, channels, multiplier].

    Args:
        array: Array of the file.
        layer: Keras layer whose kind determines the layout.
        variable: Its variable.

    Returns:
        float32 array; other arrays keep their shape. It need not fit the
        variable, which the caller checks.
    """
    array = array.astype("float32")
    if array.ndim == 2 and isinstance(layer, keras.layers.Dense):
        return array.T
    if array.ndim == 4 and isinstance(layer, keras.layers.DepthwiseConv2D):
        # [channels · multiplier, 1, h, w] → [h, w, channels, multiplier]
        kernel = array.transpose(2, 3, 0, 1)
        return kernel.reshape(*kernel.shape[:2], -1, layer.depth_multiplier)
    if array.ndim == 4:
        # [out, in, h, w] → [h, w, in, out]; grouped kernels likewise.
        return array.transpose(2, 3, 1, 0)
    # `layer_scale` is [channels, 1, 1] in the file, [channels] in Keras.
    if array.ndim == 3 and len(variable.shape) == 1:
        return array.reshape(-1)
    return array


def restore_array(array: np.ndarray, layer: Any) -> np.ndarray:
    """Converts an array of a Keras layer to PyTorch's layout.

    The inverse of `convert_array` for kernels; other arrays stay as they are.

    Args:
        array: Value of one of the layer's variables.
        layer: Keras layer whose kind determines the layout.

    Returns:
        float32 array in row-major order, which may share memory with `array`.
    """
    if array.ndim == 2 and isinstance(layer, keras.layers.Dense):
        array = array.T
    elif array.ndim == 4 and isinstance(layer, keras.layers.DepthwiseConv2D):
        # [h, w, channels, multiplier] → [channels · multiplier, 1, h, w]
        kernel = array.reshape(*array.shape[:2], -1, 1)
        array = kernel.transpose(2, 3, 0, 1)
    elif array.ndim == 4:
        # [h, w, in, out] → [out, in, h, w]; grouped kernels likewise.
        array = array.transpose(3, 2, 0, 1)
    return np.ascontiguousarray(array, "float32")
