"""Scaling of images in a backbone, before its first layer with a kernel."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_finetune.weights import layer_matching

# M and b have 4 unknowns per channel; the other colors show if y is not affine.
_COLORS = 24
# Tolerance relative to the largest value; float32 rounds at about 1e-7.
_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorTransform:
    """Affine transform y = M x + b of the color x of a pixel, RGB 0..255.

    Attributes:
        matrix: M, [channels, 3].
        offset: b, [channels].
    """

    matrix: np.ndarray
    offset: np.ndarray

    @property
    def numbers(self) -> list[float]:
        """M row by row, then b."""
        return [float(each) for each in (*self.matrix.ravel(), *self.offset)]

    def __str__(self) -> str:
        if np.count_nonzero(self.matrix - np.diag(np.diag(self.matrix))):
            rows = [_format_values(row) for row in self.matrix]
            return f"x·[{', '.join(rows)}] + {_format_values(self.offset)}"
        scale, offset = (
            _format_values(np.diag(self.matrix)),
            _format_values(self.offset),
        )
        return f"x·{scale} + {offset}"


def from_numbers(numbers: Sequence[float]) -> ColorTransform:
    """Makes the transform of three channels that has these 12 `numbers`."""
    return ColorTransform(
        matrix=np.reshape(numbers[:9], (3, 3)), offset=np.array(numbers[9:])
    )


def find_first_kernel_layer(model: keras.Model) -> Any:
    """Finds the first layer of a model that has a kernel.

    Args:
        model: Keras model; nested models are searched, too.

    Returns:
        The layer; None if no layer has a kernel.
    """
    for unit in layer_matching.list_layers(model):
        if unit.kernel_size:
            return unit.layer
    return None


def scale_images(
    model: keras.Model, first: Any, images: np.ndarray
) -> np.ndarray:
    """Computes the input of a model's first layer with a kernel.

    Args:
        model: Model of a backbone.
        first: From `find_first_kernel_layer`.
        images: [batch, size, size, 3] RGB 0..255.

    Returns:
        [batch, height, width, channels], before zero padding.
    """
    part = keras.Model(model.inputs[0], _find_input(model, first))
    return np.asarray(part(images, training=False))


def measure_scaling(model: keras.Model, first: Any) -> ColorTransform | None:
    """Measures the color transform from images to the first layer's input.

    Args:
        model: Model of a backbone.
        first: From `find_first_kernel_layer`.

    Returns:
        The transform; None if it is not affine.
    """
    side = model.input_shape[1]
    colors = draw_colors()
    pictures = np.tile(colors, (1, side, side, 1))
    return fit_transform(colors, scale_images(model, first, pictures))


def find_scaling_layer(model: keras.Model, first: Any) -> Any:
    """Finds a layer whose scaling can be set, in front of another layer.

    Args:
        model: Model of a backbone.
        first: From `find_first_kernel_layer`.

    Returns:
        A Rescaling before `first`, else a Normalization without weights; None
        without either.
    """
    part = keras.Model(model.inputs[0], _find_input(model, first))
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    for kind in kinds:
        for layer in part.layers:
            if isinstance(layer, kind) and not layer.weights:
                return layer
    return None


def set_scaling(layer: Any, scale: np.ndarray, offset: np.ndarray) -> None:
    """Sets a layer in place so that it computes scale x + offset.

    Args:
        layer: From `find_scaling_layer`.
        scale: [channels].
        offset: [channels].
    """
    if isinstance(layer, keras.layers.Rescaling):
        layer.scale = [float(each) for each in scale]
        layer.offset = [float(each) for each in offset]
        return
    # (x - m) / √v = scale x + offset: m = -offset / scale, v = 1 / scale²
    layer.input_mean = [float(each) for each in -offset / scale]
    layer.input_variance = [float(each) for each in 1 / scale**2]
    # `build` makes the constants of the two lists.
    layer.build(layer._build_input_shape)


def draw_colors() -> np.ndarray:
    """Draws fixed random colors, float32 [24, 1, 1, 3] in 0..255."""
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (_COLORS, 1, 1, 3)).astype("float32")


def fit_transform(
    colors: np.ndarray, values: np.ndarray
) -> ColorTransform | None:
    """Fits a color transform to the middle pixel of transformed pictures.

    Args:
        colors: From `draw_colors`.
        values: [colors, height, width, channels], the transformed colors.

    Returns:
        The transform; None if it is not affine.
    """
    if values.ndim != 4:
        return None
    middle = values[:, values.shape[1] // 2, values.shape[2] // 2]
    middle = middle.astype("float64")
    inputs = np.concatenate(
        [colors.reshape(-1, 3), np.ones((len(colors), 1))], axis=1
    ).astype("float64")
    # Least squares of [x, 1] · [Mᵀ; b] = y over all colors.
    solved = np.linalg.lstsq(inputs, middle, rcond=None)[0]
    largest = max(np.abs(middle).max(), 1e-30)
    # In this form NaN is refused as well.
    if not np.abs(inputs @ solved - middle).max() <= _TOLERANCE * largest:
        return None
    # Coefficients that are rounding errors become exact zeros.
    solved[:3][np.abs(solved[:3]) < 1e-5 * np.abs(solved[:3]).max()] = 0
    solved[3][np.abs(solved[3]) < 1e-7 * largest] = 0
    return ColorTransform(matrix=solved[:3].T, offset=solved[3])


def is_same(one: ColorTransform, two: ColorTransform) -> bool:
    """Returns whether two transforms map all colors alike, up to rounding."""
    if one.matrix.shape != two.matrix.shape:
        return False
    colors = draw_colors().reshape(-1, 3)
    first = colors @ one.matrix.T + one.offset
    second = colors @ two.matrix.T + two.offset
    return bool(
        np.abs(first - second).max() <= _TOLERANCE * np.abs(second).max()
    )


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


def _format_values(values: np.ndarray) -> str:
    words = [f"{each:.5g}" for each in values]
    return words[0] if len(set(words)) == 1 else f"({', '.join(words)})"
