"""Scaling of images in a backbone, before its first layer with a kernel."""

from typing import Any

import keras
import numpy as np

from tf_finetune.weights import color_transform, model_layers


def find_first_kernel_layer(model: keras.Model) -> Any:
    """Returns the first layer of a model that has a kernel, if there is one."""
    for unit in model_layers.list_layers(model):
        if unit.kernel_size:
            return unit.layer
    return None


def scale_images(
    model: keras.Model, first: Any, images: np.ndarray
) -> np.ndarray:
    """Returns the input of a model's first layer with a kernel.

    Args:
        model: Of a backbone.
        first: From `find_first_kernel_layer`.
        images: [batch, size, size, 3] RGB 0..255.
    """
    part = keras.Model(model.inputs[0], _find_input(model, first))
    return np.asarray(part(images, training=False))


def measure_scaling(
    model: keras.Model, first: Any
) -> color_transform.ColorTransform:
    """Fits the color transform from images to the first layer's input."""
    side = model.input_shape[1]
    colors = color_transform.draw_colors()
    pictures = np.tile(colors, (1, side, side, 1))
    return color_transform.fit_transform(
        colors, scale_images(model, first, pictures)
    )


def find_scaling_layer(model: keras.Model, first: Any) -> Any:
    """Returns the layer before `first` whose scaling can be set, if any."""
    part = keras.Model(model.inputs[0], _find_input(model, first))
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    for kind in kinds:
        for layer in part.layers:
            if isinstance(layer, kind) and not layer.weights:
                return layer
    return None


def set_scaling(layer: Any, scale: np.ndarray, offset: np.ndarray) -> None:
    """Sets a layer from `find_scaling_layer` to compute scale x + offset."""
    if isinstance(layer, keras.layers.Rescaling):
        layer.scale = [float(each) for each in scale]
        layer.offset = [float(each) for each in offset]
        return
    # (x - m) / √v = scale x + offset: m = -offset / scale, v = 1 / scale²
    layer.input_mean = [float(each) for each in -offset / scale]
    layer.input_variance = [float(each) for each in 1 / scale**2]
    layer.build(layer._build_input_shape)


def _find_input(model: keras.Model, first: Any) -> keras.KerasTensor:
    """Returns the input tensor of the first layer, before zero padding."""
    for layer in model.layers:
        inside = getattr(layer, "layers", None) or [layer]
        if any(each is first for each in inside):
            break
    tensor = layer.input
    while True:
        before = tensor._keras_history.operation
        if not isinstance(before, keras.layers.ZeroPadding2D):
            return tensor
        tensor = before.input
