"""Building blocks of decoders: from feature maps to one score a pixel.

Their batch norm layers are new and always train, frozen backbone or not.
"""

from collections.abc import Sequence

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.heads import head

# Keras' own 0.99 needs hundreds of steps until the moving statistics are those
# of the net as it is; an epoch of a small set has fewer.
_MOMENTUM = 0.9


def build_decoder_head(
    backbone: backbones.Backbone,
    strides: Sequence[int],
    scores: keras.KerasTensor,
) -> head.Head:
    """Builds a head whose scores are resized to the size of the picture.

    Args:
        backbone: The network that computes the feature maps.
        strides: Strides of the feature maps that the scores depend on.
        scores: [batch, height, width, outputs].

    Returns:
        The head; its logits are float32 [batch, size, size, outputs], resized
        bilinearly.
    """
    # float32 also under mixed precision: the loss is computed on these.
    logits = keras.layers.Resizing(
        backbone.image_size,
        backbone.image_size,
        interpolation="bilinear",
        dtype="float32",
        name="logits",
    )(scores)
    return head.Head(
        inputs=tuple(backbone.feature_maps[each] for each in strides),
        logits=logits,
        backbone=backbone,
    )


def add_convolution(
    tensor: keras.KerasTensor,
    filters: int,
    *,
    kernel: int = 3,
    name: str,
) -> keras.KerasTensor:
    """Adds a convolution, batch norm and ReLU, called NAME_conv and so on.

    Args:
        tensor: [batch, height, width, channels].
        filters: Channels of the result.
        kernel: Side of the kernel in pixels.
        name: Prefix of the layers' names.

    Returns:
        [batch, height, width, filters].
    """
    # No bias: the batch norm that follows subtracts the mean anyway. He
    # initialization suits the ReLU behind it.
    tensor = keras.layers.Conv2D(
        filters,
        kernel,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(tensor)
    return add_norm_and_relu(tensor, name=name)


def add_separable_convolution(
    tensor: keras.KerasTensor, filters: int, *, rate: int = 1, name: str
) -> keras.KerasTensor:
    """Adds a 3×3 atrous separable convolution, depthwise, then pointwise.

    Batch norm and ReLU follow each of the two convolutions.

    Args:
        tensor: [batch, height, width, channels].
        filters: Channels of the result.
        rate: Dilation rate: distance of the kernel's taps in pixels of the map.
        name: Prefix of the layers' names.

    Returns:
        [batch, height, width, filters].

    Source: Chen et al. 2018, "Encoder-Decoder with Atrous Separable
    Convolution for Semantic Image Segmentation", section 3.1.
    """
    # Depthwise 3×3 at `rate`, then pointwise 1×1 (figure 3); batch norm and
    # ReLU after both.
    tensor = keras.layers.DepthwiseConv2D(
        3,
        padding="same",
        dilation_rate=rate,
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )(tensor)
    tensor = add_norm_and_relu(tensor, name=f"{name}_depthwise")
    return add_convolution(tensor, filters, kernel=1, name=f"{name}_pointwise")


def add_norm_and_relu(
    tensor: keras.KerasTensor, *, name: str
) -> keras.KerasTensor:
    """Adds batch norm and ReLU to a tensor, as layers NAME_bn and NAME_relu."""
    tensor = keras.layers.BatchNormalization(
        momentum=_MOMENTUM, name=f"{name}_bn"
    )(tensor)
    return keras.layers.ReLU(name=f"{name}_relu")(tensor)


def add_scores(
    tensor: keras.KerasTensor,
    outputs: int,
    *,
    name: str,
    l2: float = 0.0,
    initializer: str = "glorot_uniform",
) -> keras.KerasTensor:
    """Adds a 1×1 convolution that computes a score per output and pixel.

    Args:
        tensor: [batch, height, width, channels].
        outputs: Number of scores per pixel.
        name: Name of the layer.
        l2: Weight of the L2 penalty on the kernel; 0: none.
        initializer: Keras initializer of the kernel.

    Returns:
        [batch, height, width, outputs].
    """
    return keras.layers.Conv2D(
        outputs,
        1,
        kernel_initializer=initializer,
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=name,
    )(tensor)


def resize_like(
    tensor: keras.KerasTensor, like: keras.KerasTensor, *, name: str
) -> keras.KerasTensor:
    """Resizes a map bilinearly to the height and width of another one.

    Sizes need not be multiples of each other. A map of that size already is
    returned as it is, without a layer.

    Args:
        tensor: [batch, height, width, channels].
        like: Map whose height and width are known.
        name: Name of the layer.
    """
    height, width = like.shape[1:3]
    if tuple(tensor.shape[1:3]) == (height, width):
        return tensor
    return keras.layers.Resizing(
        height, width, interpolation="bilinear", name=name
    )(tensor)


def add_dropout(tensor: keras.KerasTensor, rate: float) -> keras.KerasTensor:
    """Adds spatial dropout, which drops whole channels, in training only.

    Args:
        tensor: [batch, height, width, channels].
        rate: Probability of a channel to be dropped, 0..1; 0: `tensor` is
            returned as it is.
    """
    if not rate:
        return tensor
    # Neighboring pixels of a channel are alike: dropping single values would
    # hide hardly anything (Tompson et al. 2015, section 3.2).
    return keras.layers.SpatialDropout2D(rate, name="head_dropout")(tensor)
