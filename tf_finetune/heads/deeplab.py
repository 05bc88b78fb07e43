"""DeepLabV3+ head: atrous spatial pyramid pooling and one skip connection.

Source: Chen, Zhu, Papandreou, Schroff and Adam 2018, "Encoder-Decoder with
Atrous Separable Convolution for Semantic Image Segmentation", section 3 and
figure 2; the rates and the image pooling are those of Chen et al. 2017,
"Rethinking Atrous Convolution for Semantic Image Segmentation", section 3.3.
"""

from collections.abc import Mapping

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import dilation
from tf_finetune.config import model_options
from tf_finetune.heads import decoder_blocks, head

# At an output stride of 16; at 8 they are twice as much.
_RATES, _RATES_STRIDE = (6, 12, 18), 16
# Section 4.1: the skip connection has stride 4 and is reduced to 48 channels.
_FINE_STRIDE = 4
_FINE_WIDTH = 48


def build(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Builds the atrous pyramid, the skip connection and the decoder.

    Args:
        backbone: Its last stages are dilated to `output_stride`
            (backbones/dilation.py).
        options: `head_units` is the width of the pyramid's branches and of
            the decoder (256 in the paper); `output_stride`, `dropout` and `l2`
            are read.
        outputs: Logits a pixel.
    """
    backbone = dilation.dilate_backbone(backbone, options.output_stride)
    maps, width = backbone.feature_maps, options.head_units
    strides = _list_strides(maps)
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
    """Returns the pyramid's rates: (6, 12, 18) at an output stride of 16.

    They span the same distance in the picture at every output stride.
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


def _list_strides(feature_maps: Mapping[int, keras.KerasTensor]) -> list[int]:
    """Returns the last stride and, if it differs, that of the skip connection.

    The skip connection has stride 4, or the next larger one with a map.
    """
    last = max(feature_maps)
    fine = min(each for each in feature_maps if each >= min(_FINE_STRIDE, last))
    return [last] if fine == last else [last, fine]
