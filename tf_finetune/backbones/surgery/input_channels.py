"""Adaptation of pretrained networks to other numbers of input channels.

The first convolution is linear, and so is the preprocessing before it. On a
gray picture, copied to R, G and B, they amount to a convolution of one channel,
with the kernels summed over the colors. For other numbers of channels nothing
is pretrained; the kernels of the colors stay and the others start as their
mean.
"""

import dataclasses

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import graph_copy, stems, surgery_steps

# ITU-R BT.601, which JPEG uses too. Their sum is 1: gray stays the same.
_LUMINANCE = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _NewStem:
    """Preprocessing and kernels for another number of channels.

    Attributes:
        scale: [channels], of the new preprocessing.
        offset: [channels].
        kernel: [height, width, channels (and the plane), filters].
        plane: Whether a channel of ones follows the others, for offsets that
            differ between colors. It is one convolution with the others, so
            that zeros around the picture stay zeros.
        how: Description for the plan.
    """

    scale: np.ndarray
    offset: np.ndarray
    kernel: np.ndarray
    plane: bool
    how: str


def convert_to_luminance(
    backbone: backbones.Backbone,
) -> tuple[backbones.Backbone, surgery_steps.Change]:
    """Reduces a pretrained network's input from three colors to luminance.

    The model still takes RGB 0..255, as decoders return it, and computes
    luminance first. For a gray picture (R = G = B) its output is the same as
    before, within rounding.

    Args:
        backbone: Backbone with its weights, for RGB; it is left unchanged.

    Returns:
        A new backbone and the description of the change.

    Raises:
        UsageError: The network does not begin with scaling and one convolution.
    """
    shape = [backbone.image_size, backbone.image_size, 3]
    images = keras.Input(shape, dtype="float32", name="images")
    weighted = keras.layers.Rescaling(
        list(_LUMINANCE), dtype="float32", name="luminance"
    )(images)
    luminance = keras.ops.sum(weighted, axis=-1, keepdims=True)
    return _replace_stem(backbone, luminance, flag="--input_channels=1")


def adapt_channels(
    backbone: backbones.Backbone, channels: int
) -> tuple[backbones.Backbone, surgery_steps.Change]:
    """Adapts a network to arrays with another number of channels.

    Picture files are always decoded to RGB.

    Args:
        backbone: Backbone with its weights, for RGB 0..255; it is left
            unchanged.
        channels: Channels of the new input, 0..255 as well. 1 or 2: each takes
            an equal share of the kernels' sum over R, G and B. 4 or more: the
            first three are R, G and B; the others share one more color, the
            mean kernel divided by their number.

    Returns:
        A new backbone, [batch, size, size, channels] → feature map, and the
        description of the change.

    Raises:
        UsageError: `channels` is below 1; or the network does not begin with
            scaling and one convolution.
    """
    if channels < 1:
        raise errors.UsageError(
            f"A picture has one channel at least, got channels={channels}."
        )
    shape = [backbone.image_size, backbone.image_size, channels]
    images = keras.Input(shape, dtype="float32", name="images")
    return _replace_stem(backbone, images, flag=f"channels={channels}")


def _replace_stem(
    backbone: backbones.Backbone, pixels: keras.KerasTensor, *, flag: str
) -> tuple[backbones.Backbone, surgery_steps.Change]:
    stem = stems.read_stem(backbone)
    made = _compute_kernels(stem, pixels.shape[-1])

    def replace_stem_layer(
        operation: keras.Operation,
    ) -> keras.Operation | None:
        return _copy_stem(stem) if operation.name == stem.layer.name else None

    def skip_scaling(
        operation: keras.Operation, arguments: tuple, keywords: dict
    ) -> keras.KerasTensor:
        if operation.name in stem.scaling:
            return arguments[0]
        return operation(*arguments, **keywords)

    model = graph_copy.rebuild_model(
        backbone.model,
        replace=replace_stem_layer,
        call=skip_scaling,
        inputs=_add_preprocessing(pixels, made),
    )
    convolution = _set_stem_weights(
        stem, model.get_layer(stem.layer.name), made.kernel
    )
    new = int(np.prod(made.kernel.shape))
    kept = model.count_params() - new
    bias = convolution.count_params() - new
    return graph_copy.replace_model(backbone, model), surgery_steps.Change(
        flag=flag,
        layers=convolution.name,
        before=f"kernels {_format_shape(stem.convolution.kernel.shape)}",
        after=f"{_format_shape(made.kernel.shape)}: {made.how}",
        kept=bias,
        new=new,
        dropped=backbone.model.count_params() - kept,
    )


def _compute_kernels(stem: stems.Stem, channels: int) -> _NewStem:
    kernel = np.asarray(stem.convolution.kernel, "float64")
    # To the order R, G, B.
    kernel = kernel[:, :, np.argsort(stem.order)]
    scale, offset = stem.scale.mean(), stem.offset.mean()
    if channels >= 3:
        others = channels - 3
        mean = kernel.mean(axis=2, keepdims=True) / max(others, 1)
        return _NewStem(
            scale=np.array([*stem.scale, *[scale] * others]),
            offset=np.array([*stem.offset, *[offset] * others]),
            kernel=np.concatenate([kernel, *[mean] * others], axis=2),
            plane=False,
            how=f"those of R, G, B, then {others} times their mean / {others}",
        )
    # Color c is x · scale_c + offset_c. The new channel is scaled alike for all
    # colors, y = x · scale + offset, so that color c is y · factor_c + rest_c.
    factor = (stem.scale / scale)[:, np.newaxis]
    rest = (stem.offset - stem.scale * offset / scale)[:, np.newaxis]
    summed = (kernel * factor).sum(axis=2, keepdims=True) / channels
    parts = [summed] * channels
    plane = bool(np.abs(rest).max() > 1e-6)
    how = "the sum over R, G, B" + (f" / {channels}" if channels > 1 else "")
    if plane:
        parts.append((kernel * rest).sum(axis=2, keepdims=True))
        how += ", and a channel of ones for what their means differ by"
    return _NewStem(
        scale=np.full([channels], scale),
        offset=np.full([channels], offset),
        kernel=np.concatenate(parts, axis=2),
        plane=plane,
        how=how,
    )


def _add_preprocessing(
    pixels: keras.KerasTensor, made: _NewStem
) -> keras.KerasTensor:
    # In float32 under mixed precision too, as the network's own preprocessing.
    x = keras.layers.Rescaling(
        made.scale.tolist(),
        made.offset.tolist(),
        dtype="float32",
        name="preprocess",
    )(pixels)
    if not made.plane:
        return x
    # 0 · x + 1: a channel of ones in plain Keras layers.
    ones = keras.layers.Rescaling(0.0, 1.0, dtype="float32", name="ones")(
        pixels[..., :1] if pixels.shape[-1] > 1 else pixels
    )
    return keras.layers.Concatenate(name="with_ones")([x, ones])


def _copy_stem(stem: stems.Stem) -> keras.Layer:
    """Copies the stem without weights, for any number of channels."""
    if stem.layer is stem.convolution:
        return graph_copy.copy_operation(stem.convolution)
    layers = [graph_copy.copy_operation(each) for each in stem.layer.layers]
    return keras.Sequential(layers, name=stem.layer.name)


def _set_stem_weights(
    stem: stems.Stem, layer: keras.Layer, kernel: np.ndarray
) -> keras.layers.Conv2D:
    """Sets the weights of the new stem; returns its convolution."""
    convolution = layer
    if stem.layer is not stem.convolution:
        convolution = layer.layers[0]
        pairs = zip(stem.layer.layers[1:], layer.layers[1:], strict=True)
        for old, new in pairs:
            graph_copy.copy_weights(old, new)
    _, *bias = stem.convolution.get_weights()
    convolution.set_weights([kernel.astype("float32"), *bias])
    return convolution


def _format_shape(sides: tuple[int, ...] | list[int]) -> str:
    return "×".join(str(side) for side in sides)
