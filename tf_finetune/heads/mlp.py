"""MLP head: a hidden layer between the pooled features and the linear layer."""

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options
from tf_finetune.heads import head, linear


def build(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> head.Head:
    """Returns the MLP head on the pooled features."""
    return head.build_pooled_head(backbone, build_layers(options, outputs))


def build_layers(
    options: model_options.ModelOptions, outputs: int
) -> list[keras.Layer]:
    """Returns a dense ReLU layer of `head_units`, then the linear head.

    Args:
        options: `head_units`, `dropout` and `l2` are read.
        outputs: Number of logits.

    Returns:
        Layers that map features [batch, width] to logits [batch, outputs].
    """
    # Dropout, if any, acts behind the hidden layer, in the linear head.
    hidden = keras.layers.Dense(
        options.head_units,
        activation="relu",
        kernel_regularizer=keras.regularizers.L2(options.l2)
        if options.l2
        else None,
        name="head_hidden",
    )
    return [hidden, *linear.build_layers(options, outputs)]
