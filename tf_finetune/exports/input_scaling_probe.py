"""Measures how a model scales its pictures, as a mean and a deviation."""

import dataclasses

import keras
import numpy as np

from tf_finetune import errors

# Decimals of mean and deviation of pictures in 0..1; float32 has 7.
_DECIMALS = 7
_TOLERANCE = 1e-4
_SIDE = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureScaling:
    """Standardization of pictures in 0..1: (x - mean) / std for each color.

    Attributes:
        mean: For red, green and blue.
        std: For red, green and blue.
        is_bgr: Whether the network takes blue first.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    is_bgr: bool


def measure_scaling(model: keras.Model, first: keras.Layer) -> PictureScaling:
    """Measures the scaling in front of a model's first convolution.

    Args:
        model: Takes RGB 0..255 [batch, size, size, 3].
        first: The first layer with weights.

    Returns:
        Mean and deviation of RGB in 0..1; also of a network that takes blue
        first.

    Raises:
        UsageError: The model does more than scale each color.
    """
    tensor = first.input
    while isinstance(
        tensor._keras_history.operation, keras.layers.ZeroPadding2D
    ):
        tensor = tensor._keras_history.operation.input
    scale = keras.Model(model.inputs[0], tensor)
    side = model.input_shape[1] or _SIDE
    # Black, one picture for each full color, and gray to check the result on.
    colors = np.concatenate(
        [np.zeros([1, 3]), 255 * np.eye(3), np.full([1, 3], 100.0)]
    )
    images = np.tile(colors[:, None, None], (1, side, side, 1))
    found = np.asarray(scale(images.astype("float32")), "float64")
    found = found[:, side // 2, side // 2]
    offset, slopes = found[0], found[1:4] - found[0]
    for is_bgr in (False, True):
        # In the order of RGB: the network's first channel may be blue.
        turn = slice(None, None, -1 if is_bgr else 1)
        factors = np.diag(slopes[:, turn])
        fits = np.allclose(slopes[:, turn], np.diag(factors), atol=_TOLERANCE)
        guess = offset[turn] + factors * 100 / 255
        fits &= np.allclose(guess, found[4][turn], atol=_TOLERANCE)
        if fits and factors.all():
            return PictureScaling(
                mean=_round(-offset[turn] / factors),
                std=_round(1 / factors),
                is_bgr=is_bgr,
            )
    raise errors.UsageError(
        "--format=torch: the network changes its pictures by more than a scale "
        "and an offset of each color, which torchvision's transforms do not. "
        "Use --format=onnx or --format=keras."
    )


def _round(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(each), _DECIMALS) for each in values)
