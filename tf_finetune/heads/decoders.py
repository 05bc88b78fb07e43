"""Decoders: heads that compute a score for every class and pixel.

They read feature maps of several strides: DeepLabV3+, FCN and U-Net.
"""

from collections.abc import Mapping

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import dilation
from tf_finetune.config import model_options
from tf_finetune.heads import decoder_blocks, head

# Dilation rates of DeepLab's pyramid at an output stride of 16; at 8 they are
# twice as much.
_RATES, _RATES_STRIDE = (6, 12, 18), 16
# Section 4.1: the skip connection has stride 4 and is reduced to 48 channels.
_FINE_STRIDE = 4
_FINE_WIDTH = 48
# Channels of U-Net; `head_units` is halved at every step down to this.
_NARROWEST = 16


def build_deeplab_v3_plus(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Builds DeepLabV3+: atrous pyramid, skip connection and decoder.

    Args:
        backbone: Its last stages are rebuilt with dilation for
            `output_stride` (backbones/dilation.py).
        options: `head_units` is the width of the pyramid's branches and of
            the decoder (256 in the paper); `output_stride`, `dropout` and `l2`
            are read.
        outputs: Number of logits per pixel.

    Returns:
        The head, on the dilated backbone.

    Raises:
        UsageError: A layer of the backbone cannot be dilated.

    Source: Chen, Zhu, Papandreou, Schroff and Adam 2018, "Encoder-Decoder with
    Atrous Separable Convolution for Semantic Image Segmentation", section 3
    and figure 2; the rates and the image pooling are those of Chen et al.
    2017, "Rethinking Atrous Convolution for Semantic Image Segmentation",
    section 3.3.
    """
    backbone = dilation.dilate_backbone(backbone, options.output_stride)
    maps, width = backbone.feature_maps, options.head_units
    strides = _list_deeplab_strides(maps)
    coarse, *fine = strides
    tensor = _add_pyramid(maps[coarse], width, scale_rates(coarse))
    tensor = decoder_blocks.add_dropout(tensor, options.dropout)
    for stride in fine:
        skip = decoder_blocks.add_convolution(
            maps[stride], _FINE_WIDTH, kernel=1, name="deeplab_fine"
        )
        tensor = decoder_blocks.resize_like(tensor, skip, name="deeplab_up")
        tensor = keras.layers.Concatenate(name="deeplab_join")([tensor, skip])
    # Two 3×3 convolutions (section 4.1), separable ones (section 3.1).
    for number in (1, 2):
        tensor = decoder_blocks.add_separable_convolution(
            tensor, width, name=f"deeplab_decoder_{number}"
        )
    scores = decoder_blocks.add_scores(
        tensor, outputs, name="deeplab_score", l2=options.l2
    )
    return decoder_blocks.build_decoder_head(backbone, strides, scores)


def scale_rates(output_stride: int) -> tuple[int, ...]:
    """Computes the dilation rates of the pyramid, (6, 12, 18) at stride 16.

    They span the same distance in the picture at every output stride.

    Args:
        output_stride: Stride of the last feature map.
    """
    # (12, 24, 36) at 8, as in Chen et al. 2017; (3, 6, 9) at 32.
    return tuple(
        max(each * _RATES_STRIDE // output_stride, 1) for each in _RATES
    )


def _add_pyramid(
    tensor: keras.KerasTensor, width: int, distances: tuple[int, ...]
) -> keras.KerasTensor:
    """Adds atrous spatial pyramid pooling, [batch, height, width, `width`]."""
    # One 1×1 convolution, one 3×3 convolution a rate, and image pooling.
    branches = [
        decoder_blocks.add_convolution(
            tensor, width, kernel=1, name="deeplab_aspp_0"
        )
    ]
    for number, rate in enumerate(distances, start=1):
        branches.append(
            decoder_blocks.add_separable_convolution(
                tensor, width, rate=rate, name=f"deeplab_aspp_{number}"
            )
        )
    branches.append(_add_image_pooling(tensor, width))
    joined = keras.layers.Concatenate(name="deeplab_aspp_join")(branches)
    return decoder_blocks.add_convolution(
        joined, width, kernel=1, name="deeplab_aspp_out"
    )


def _add_image_pooling(
    tensor: keras.KerasTensor, width: int
) -> keras.KerasTensor:
    """Adds image-level features: the pooled map, the same at every pixel.

    Without the paper's batch norm: one value a picture and channel makes
    statistics of a few values only.
    """
    pooled = keras.layers.GlobalAveragePooling2D(
        keepdims=True, name="deeplab_pool"
    )(tensor)
    pooled = keras.layers.Conv2D(
        width,
        1,
        activation="relu",
        kernel_initializer="he_normal",
        name="deeplab_pool_conv",
    )(pooled)
    return keras.layers.UpSampling2D(
        tensor.shape[1:3], name="deeplab_pool_spread"
    )(pooled)


def _list_deeplab_strides(
    feature_maps: Mapping[int, keras.KerasTensor],
) -> list[int]:
    """Returns the last stride and, if it differs, that of the skip connection.

    The skip connection has stride 4, or the next larger one with a map.
    """
    last = max(feature_maps)
    fine = min(each for each in feature_maps if each >= min(_FINE_STRIDE, last))
    return [last] if fine == last else [last, fine]


def build_fcn_32s(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Builds the FCN-32s head: scores of the last feature map alone.

    Args:
        backbone: The network that computes the feature maps.
        options: `head_units`, `dropout` and `l2` are read.
        outputs: Number of logits per pixel.
    """
    return _build_fcn(backbone, options, outputs, finest=32)


def build_fcn_16s(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Builds the FCN-16s head: scores of feature maps down to stride 16.

    Arguments as for `build_fcn_32s`.
    """
    return _build_fcn(backbone, options, outputs, finest=16)


def build_fcn_8s(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Builds the FCN-8s head: scores of feature maps down to stride 8.

    Arguments as for `build_fcn_32s`.
    """
    return _build_fcn(backbone, options, outputs, finest=8)


def _build_fcn(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
    *,
    finest: int,
) -> head.Head:
    """Scores the last feature map, adds scores of finer maps and upsamples.

    The paper's last layers before the score are VGG's dense ones, turned into
    convolutions; here one 3×3 convolution of `head_units` stands for them, as
    not every backbone has such layers. The scores of finer maps start at zero
    and upsampling is bilinear, as in the paper.

    Args:
        backbone: The network that computes the feature maps.
        options: `head_units`, `dropout` and `l2` are read.
        outputs: Logits a pixel.
        finest: 32, 16 or 8: the smallest stride whose scores are added.

    Source: Long, Shelhamer and Darrell 2015, "Fully Convolutional Networks for
    Semantic Segmentation", section 4.2 and figure 3.
    """
    maps = backbone.feature_maps
    last = max(maps)
    finer = sorted((e for e in maps if finest <= e < last), reverse=True)
    top = decoder_blocks.add_convolution(
        maps[last], options.head_units, name="fcn_hidden"
    )
    top = decoder_blocks.add_dropout(top, options.dropout)
    scores = _add_fcn_scores(top, outputs, last, options, "glorot_uniform")
    # Figure 3: upsample the sum so far, add the scores of the next finer map.
    for stride in finer:
        # From zero: the finer maps begin by changing nothing (section 4.2).
        more = _add_fcn_scores(maps[stride], outputs, stride, options, "zeros")
        scores = decoder_blocks.resize_like(
            scores, more, name=f"fcn_up_{stride}"
        )
        scores = keras.layers.Add(name=f"fcn_sum_{stride}")([scores, more])
    return decoder_blocks.build_decoder_head(backbone, [last, *finer], scores)


def _add_fcn_scores(
    tensor: keras.KerasTensor,
    outputs: int,
    stride: int,
    options: model_options.ModelOptions,
    initializer: str,
) -> keras.KerasTensor:
    return decoder_blocks.add_scores(
        tensor,
        outputs,
        name=f"fcn_score_{stride}",
        l2=options.l2,
        initializer=initializer,
    )


def build_unet(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Builds the U-Net head: from the last feature map up to the finest.

    A step up halves the channels, doubles the size, joins the feature map of
    that size and adds two 3×3 convolutions. The step from the finest feature
    map to the pixels is bilinear: convolutions there would cost as much as
    all others together.

    Args:
        backbone: The network; all its feature maps are used.
        options: `head_units` is the width of the first step, each further one
            has half of it, at least 16; `dropout` and `l2` are read.
        outputs: Number of logits per pixel.

    Source: Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks
    for Biomedical Image Segmentation", section 2 and figure 1.
    """
    maps = backbone.feature_maps
    strides = sorted(maps, reverse=True)
    coarsest, *finer = strides
    tensor = decoder_blocks.add_dropout(maps[coarsest], options.dropout)
    # A step per map, from the coarsest: half the width each time.
    width = options.head_units
    for stride in finer:
        tensor = _add_unet_step(tensor, maps[stride], width, f"unet_{stride}")
        width = max(width // 2, _NARROWEST)
    # A single feature map: no step adds the convolution, so one is added here.
    if not finer:
        tensor = decoder_blocks.add_convolution(tensor, width, name="unet_only")
    scores = decoder_blocks.add_scores(
        tensor, outputs, name="unet_score", l2=options.l2
    )
    return decoder_blocks.build_decoder_head(backbone, strides, scores)


def _add_unet_step(
    tensor: keras.KerasTensor,
    skip: keras.KerasTensor,
    width: int,
    name: str,
) -> keras.KerasTensor:
    """Adds one step up the decoder, [batch, *size of skip, width]."""
    # A 1×1 convolution and a bilinear step commute; it is cheaper below.
    tensor = decoder_blocks.add_convolution(
        tensor, width, kernel=1, name=f"{name}_up"
    )
    tensor = decoder_blocks.resize_like(tensor, skip, name=f"{name}_resize")
    tensor = keras.layers.Concatenate(name=f"{name}_join")([skip, tensor])
    tensor = decoder_blocks.add_convolution(tensor, width, name=f"{name}_1")
    return decoder_blocks.add_convolution(tensor, width, name=f"{name}_2")
