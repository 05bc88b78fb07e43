"""Linear head: one dense layer on the features or on `--head_layers`."""

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options
from tf_finetune.heads import head, hidden_layers


def build(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Returns the linear head on the pooled features."""
    return head.build_pooled_head(backbone, build_layers(options, outputs))


def build_layers(
    options: model_options.ModelOptions, outputs: int
) -> list[keras.Layer]:
    """Returns the layers of `--head_layers`, dropout (if any), a dense layer.

    Args:
        options: `surgery.head_layers`, `dropout` and `l2` are read.
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
    # Dropout acts on the input of the last layer, behind --head_layers.
    below = hidden_layers.build_layers(options)
    if not options.dropout:
        return [*below, top]
    dropout = keras.layers.Dropout(options.dropout, name="head_dropout")
    return [*below, dropout, top]
