"""Repair of a convolution that sees fewer and other channels than before."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

_POSITIONS = 6000
# Share of the mean variance of the inputs, which bounds the solution where
# inputs are nearly dependent.
_RIDGE = 1e-2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solution:
    """Weights of a convolution, fitted to outputs.

    Attributes:
        kernel: [inputs, outputs]; inputs in the order of `gather_patches`.
        offset: [outputs].
        unexplained: Share of the variance of the outputs that it leaves, 0..1.
    """

    kernel: np.ndarray
    offset: np.ndarray
    unexplained: float


def choose_positions(
    shape: tuple[int, ...], pictures: int, *, seed: int
) -> np.ndarray:
    """Chooses positions of a layer's output at which it is compared.

    Args:
        shape: Of the output, without the batch: (height, width, channels), or
            (channels,).
        pictures: Number of pictures, at least 1.
        seed: Seed of the draw.

    Returns:
        [pictures, positions] indices into the flattened height × width, without
        repetition; about 6,000 altogether, all of them if there are fewer.
    """
    area = int(np.prod(shape[:-1]))
    count = min(area, -(-_POSITIONS // pictures))
    generator = np.random.default_rng(seed)
    return np.stack(
        [
            np.sort(generator.choice(area, size=count, replace=False))
            for _ in range(pictures)
        ]
    )


def gather_outputs(output: tf.Tensor, positions: np.ndarray) -> np.ndarray:
    """Returns a layer's outputs at positions, [pictures · positions, channels].

    Args:
        output: [pictures, height, width, channels] or [pictures, channels].
        positions: Of `choose_positions`, for these pictures.
    """
    channels = output.shape[-1]
    flat = tf.reshape(output, [len(positions), -1, channels])
    return (
        tf.gather(flat, positions, batch_dims=1).numpy().reshape(-1, channels)
    )


def gather_patches(
    layer: keras.Layer, inputs: tf.Tensor, positions: np.ndarray
) -> np.ndarray:
    """Returns the inputs that a layer multiplies with its kernel.

    Args:
        layer: Conv2D without groups, or Dense.
        inputs: [pictures, height, width, channels] or [pictures, channels].
        positions: Of its output, from `choose_positions`.

    Returns:
        [pictures · positions, rows · columns · channels] float32, in the order
        of the kernel's axes.
    """
    if isinstance(layer, keras.layers.Dense):
        return gather_outputs(inputs, positions)
    rows = []
    # One picture at a time: patches take as often the memory as the kernel is
    # large.
    for image, chosen in zip(inputs, positions, strict=True):
        patches = tf.image.extract_patches(
            image[None],
            sizes=[1, *layer.kernel_size, 1],
            strides=[1, *layer.strides, 1],
            rates=[1, *layer.dilation_rate, 1],
            padding=layer.padding.upper(),
        )
        rows.append(gather_outputs(patches, chosen[None]))
    return np.concatenate(rows)


def solve(
    inputs: np.ndarray, outputs: np.ndarray, *, has_offset: bool
) -> Solution:
    """Solves for the kernel that reproduces outputs from inputs.

    Args:
        inputs: [n, d].
        outputs: [n, m], before the normalization.
        has_offset: Whether the layer can add a constant.

    Returns:
        The ridge regression; its constant is not penalized, 0 without one.
    """
    x, y = inputs.astype("float64"), outputs.astype("float64")
    # Centered, the constant drops out of the equations and of the penalty:
    # b = mean(y) − mean(x)·W.
    center_x = x.mean(axis=0) if has_offset else np.zeros(x.shape[1])
    center_y = y.mean(axis=0) if has_offset else np.zeros(y.shape[1])
    x, y = x - center_x, y - center_y
    gram = x.T @ x
    # W = (XᵀX + λ·tr(XᵀX)/d · I)⁻¹ XᵀY; tiny: channels that are always 0.
    penalty = max(_RIDGE * np.trace(gram) / len(gram), np.finfo("float64").tiny)
    kernel = np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ y)
    left = np.sum(np.square(y - x @ kernel))
    total = np.sum(np.square(y - y.mean(axis=0)))
    return Solution(
        kernel=kernel.astype("float32"),
        offset=(center_y - center_x @ kernel).astype("float32"),
        unexplained=float(left / total) if total else 0.0,
    )
