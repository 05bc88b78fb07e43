"""One dense layer on the pooled features."""

import keras

from tf_finetune.config import train


def layers(options: train.ModelOptions, outputs: int) -> list[keras.Layer]:
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
