"""One dense layer on the pooled features."""

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options
from tf_finetune.heads import head


def build(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Returns `layers` on the pooled features."""
    return head.on_pooled(backbone, layers(options, outputs))


def layers(
    options: model_options.ModelOptions, outputs: int
) -> list[keras.Layer]:
    """Returns dropout (if any) and a dense layer.

    Args:
        options: `dropout` and `l2` are read.
        outputs: Number of logits.

    Returns:
        Layers that map features [batch, width] to logits [batch, outputs].
        Dropout acts in training only.
    """
    top = keras.layers.Dense(
        outputs,
        kernel_regularizer=keras.regularizers.L2(options.l2)
        if options.l2
        else None,
        name="logits",
    )
    if not options.dropout:
        return [top]
    return [keras.layers.Dropout(options.dropout, name="head_dropout"), top]
