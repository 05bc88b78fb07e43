"""EfficientNet-Lite 0 to 4, which keras.applications lacks.

EfficientNets for quantized inference: without squeeze-and-excitation, with
ReLU6 in place of swish, and with a stem and a last layer that are never scaled.

Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for
Convolutional Neural Networks", table 1; the differences as in
github.com/tensorflow/tpu, models/official/efficientnet/lite.
"""

import dataclasses
import math

import keras

# Table 1, stages 2 to 8: repeats, kernel, stride, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS = 32
_LAST_CHANNELS = 1280
_CHANNEL_UNIT = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """Inverted residual block (expand, depthwise, project) of a network.

    Attributes:
        name: "block0", "block1", …, numbered through all stages.
        kernel: Side of its depthwise kernel, pixels.
        stride: Stride of its depthwise convolution, 1 or 2.
        expansion: Factor by which its first 1x1 convolution multiplies the
            channels; 1: the block has no such convolution.
        channels: Number of channels of its output.
    """

    name: str
    kernel: int
    stride: int
    expansion: int
    channels: int


def efficientnet_lite0(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds EfficientNet-Lite0 (width 1, depth 1) without its classifier.

    Args:
        image_tensor: Tensor [batch, size, size, 3] of (RGB - 127) / 128, which
            may be computed by layers in front of it.

    Returns:
        A model with random weights, from the source input of `image_tensor` to
        the last feature map [batch, size/32, size/32, 1280].
    """
    return _build(image_tensor, "efficientnet_lite0", width=1.0, depth=1.0)


def efficientnet_lite1(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds EfficientNet-Lite1 (width 1, depth 1.1) without its top.

    Takes and returns the same as `efficientnet_lite0`.
    """
    return _build(image_tensor, "efficientnet_lite1", width=1.0, depth=1.1)


def efficientnet_lite2(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds EfficientNet-Lite2 (width 1.1, depth 1.2) without its top.

    Takes and returns the same as `efficientnet_lite0`.
    """
    return _build(image_tensor, "efficientnet_lite2", width=1.1, depth=1.2)


def efficientnet_lite3(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds EfficientNet-Lite3 (width 1.2, depth 1.4) without its top.

    Takes and returns the same as `efficientnet_lite0`.
    """
    return _build(image_tensor, "efficientnet_lite3", width=1.2, depth=1.4)


def efficientnet_lite4(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds EfficientNet-Lite4 (width 1.4, depth 1.8) without its top.

    Takes and returns the same as `efficientnet_lite0`.
    """
    return _build(image_tensor, "efficientnet_lite4", width=1.4, depth=1.8)


def list_blocks(*, width: float, depth: float) -> list[Block]:
    """Lists the blocks of an EfficientNet-Lite, from its input to its output.

    Args:
        width: Factor of the channels, which are rounded to multiples of 8.
        depth: Factor of the blocks per stage, rounded up; the first and the
            last stage keep theirs.
    """
    blocks = []
    last = len(_STAGES) - 1
    for number, (repeats, kernel, stride, *rest) in enumerate(_STAGES):
        # ⌈d·L⌉ blocks a stage (L of table 1); the Lite variant fixes the first
        # and the last stage, and scales neither stem nor top.
        if number not in (0, last):
            repeats = math.ceil(depth * repeats)
        expansion, channels = rest
        for repeat in range(repeats):
            blocks.append(
                Block(
                    name=f"block{len(blocks)}",
                    kernel=kernel,
                    # Only the first block of a stage changes the resolution.
                    stride=stride if repeat == 0 else 1,
                    expansion=expansion,
                    channels=_scale_channels(channels, width),
                )
            )
    return blocks


def _scale_channels(channels: int, width: float) -> int:
    """Rounds to a multiple of 8 that is no more than 10 % smaller."""
    # Stays on a multiple of 8; rounding down by more than 10 % goes up instead,
    # as round_filters in github.com/tensorflow/tpu.
    scaled = channels * width
    rounded = int(scaled + _CHANNEL_UNIT / 2) // _CHANNEL_UNIT * _CHANNEL_UNIT
    rounded = max(_CHANNEL_UNIT, rounded)
    return rounded + _CHANNEL_UNIT if rounded < 0.9 * scaled else rounded


def _build(
    image_tensor: keras.KerasTensor, name: str, *, width: float, depth: float
) -> keras.Model:
    x = _convolution(
        image_tensor, _STEM_CHANNELS, kernel=3, stride=2, name="stem"
    )
    x = keras.layers.ReLU(6.0, name="stem_relu")(x)
    for block in list_blocks(width=width, depth=depth):
        x = _add_block(x, block)
    x = _convolution(x, _LAST_CHANNELS, kernel=1, name="top")
    x = keras.layers.ReLU(6.0, name="top_relu")(x)
    inputs = keras.utils.get_source_inputs(image_tensor)
    return keras.Model(inputs, x, name=name)


def _add_block(x: keras.KerasTensor, block: Block) -> keras.KerasTensor:
    shortcut, channels = x, x.shape[-1]
    if block.expansion > 1:
        name = f"{block.name}_expand"
        x = _convolution(x, channels * block.expansion, kernel=1, name=name)
        x = keras.layers.ReLU(6.0, name=f"{name}_relu")(x)
    name = f"{block.name}_depthwise"
    x = keras.layers.DepthwiseConv2D(
        block.kernel,
        strides=block.stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = _normalize(x, name)
    x = keras.layers.ReLU(6.0, name=f"{name}_relu")(x)
    # A linear bottleneck: no activation behind the projection.
    x = _convolution(x, block.channels, kernel=1, name=f"{block.name}_project")
    # Sandler et al. 2018, figure 4d: a shortcut only where shapes agree.
    if block.stride == 1 and channels == block.channels:
        x = keras.layers.Add(name=f"{block.name}_add")([shortcut, x])
    return x


def _convolution(
    x: keras.KerasTensor,
    filters: int,
    *,
    kernel: int,
    stride: int = 1,
    name: str,
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return _normalize(x, name)


def _normalize(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # batch_norm_momentum and batch_norm_epsilon of the reference code.
    return keras.layers.BatchNormalization(
        momentum=0.99, epsilon=1e-3, name=f"{name}_bn"
    )(x)
