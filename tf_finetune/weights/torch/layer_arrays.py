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
    """Yields the layers of a model that have weights, nested ones included."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from iterate_layers(layer)
        elif layer.weights:
            yield layer


def sort_by_creation(layers: Sequence[Any]) -> list[Any]:
    """Sorts layers by the numbers that Keras has put behind their names."""

    def read_number(layer: Any) -> int:
        found = re.search(r"_(\d+)$", layer.name)
        return int(found[1]) if found else 0

    return sorted(layers, key=read_number)


def has_kernel(layer: Any) -> bool:
    """Returns whether a layer is a convolution or dense."""
    return isinstance(layer, _KERNELS)


def list_parts(layer: Any) -> tuple[str, ...]:
    """Lists the arrays of a layer's module, as the file names their last part.

    In the order of the layer's variables; "" stands for an array without a
    module of its own.
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
    """Returns an array in the layout of a layer's variable, float32.

    Kernels are [out, in, height, width] and [out, in] in PyTorch; here they are
    [height, width, in, out] and [in, out], of depthwise convolutions [height,
    width, channels, multiplier].
    """
    array = array.astype("float32")
    if array.ndim == 2 and isinstance(layer, keras.layers.Dense):
        return array.T
    if array.ndim == 4 and isinstance(layer, keras.layers.DepthwiseConv2D):
        # [channels · multiplier, 1, h, w] → [h, w, channels, multiplier]
        kernel = array.transpose(2, 3, 0, 1)
        return kernel.reshape(*kernel.shape[:2], -1, layer.depth_multiplier)
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    # `layer_scale` is [channels, 1, 1] in the file.
    if array.ndim == 3 and len(variable.shape) == 1:
        return array.reshape(-1)
    return array
