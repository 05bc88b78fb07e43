"""Heads of fully convolutional networks: FCN-32s, FCN-16s and FCN-8s.

Source: Long, Shelhamer and Darrell 2015, "Fully Convolutional Networks for
Semantic Segmentation", section 4.2 and figure 3.
"""

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options
from tf_finetune.heads import decoder_blocks, head


def build_32s(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Returns FCN-32s: scores of the last feature map alone."""
    return _build_head(backbone, options, outputs, finest=32)


def build_16s(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Returns FCN-16s: scores of the feature maps down to stride 16."""
    return _build_head(backbone, options, outputs, finest=16)


def build_8s(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Returns FCN-8s: scores of the feature maps down to stride 8."""
    return _build_head(backbone, options, outputs, finest=8)


def _build_head(
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
    """
    maps = backbone.feature_maps
    last = max(maps)
    finer = sorted((e for e in maps if finest <= e < last), reverse=True)
    top = decoder_blocks.add_convolution(
        maps[last], options.head_units, name="fcn_hidden"
    )
    top = decoder_blocks.add_dropout(top, options.dropout)
    scores = _add_scores(top, outputs, last, options, "glorot_uniform")
    # Figure 3: upsample the sum so far, add the scores of the next finer map.
    for stride in finer:
        # From zero: the finer maps begin by changing nothing (section 4.2).
        more = _add_scores(maps[stride], outputs, stride, options, "zeros")
        scores = decoder_blocks.resize_like(
            scores, more, name=f"fcn_up_{stride}"
        )
        scores = keras.layers.Add(name=f"fcn_sum_{stride}")([scores, more])
    return decoder_blocks.build_decoder_head(backbone, [last, *finer], scores)


def _add_scores(
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
