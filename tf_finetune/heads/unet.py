"""U-Net head: a decoder with a skip connection at every feature map.

Source: Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks for
Biomedical Image Segmentation", section 2 and figure 1.
"""

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options
from tf_finetune.heads import decoder_blocks, head

# Channels; `head_units` is halved at every step down to this.
_NARROWEST = 16


def build(
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
        backbone: Of all its feature maps the head is computed.
        options: `head_units` is the width of the first step, each further one
            has half of it, at least 16; `dropout` and `l2` are read.
        outputs: Logits a pixel.
    """
    maps = backbone.feature_maps
    strides = sorted(maps, reverse=True)
    coarsest, *finer = strides
    tensor = decoder_blocks.add_dropout(maps[coarsest], options.dropout)
    # A step per map, from the coarsest: half the width each time.
    width = options.head_units
    for stride in finer:
        tensor = _add_step(tensor, maps[stride], width, f"unet_{stride}")
        width = max(width // 2, _NARROWEST)
    # A single feature map: no step adds the convolution, so one is added here.
    if not finer:
        tensor = decoder_blocks.add_convolution(tensor, width, name="unet_only")
    scores = decoder_blocks.add_scores(
        tensor, outputs, name="unet_score", l2=options.l2
    )
    return decoder_blocks.build_decoder_head(backbone, strides, scores)


def _add_step(
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
