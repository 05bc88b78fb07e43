"""Keras layers of `--head_layers`, below the linear layer of a head."""

import keras

from tf_finetune.config import model_options
from tf_finetune.heads import layer_grammar


def build_layers(options: model_options.ModelOptions) -> list[keras.Layer]:
    """Returns the layers of `--head_layers` in order; may be empty.

    Dropout acts in training only; batch norm has the statistics of the batch
    in training and moving averages of them in inference.

    Args:
        options: `surgery.head_layers` and `l2`, of the dense kernels, are
            read.

    Raises:
        UsageError: A token means nothing.
    """
    found = []
    counts: dict[str, int] = {}
    # Names must be unique in a model: head_dense1, head_relu1, head_dense2.
    for part in layer_grammar.parse_layers(options.surgery.head_layers):
        word = part.activation or part.kind
        counts[word] = counts.get(word, 0) + 1
        found.append(
            _build_layer(part, f"head_{word}{counts[word]}", options.l2)
        )
    return found


def _build_layer(
    part: layer_grammar.LayerSpec, name: str, l2: float
) -> keras.Layer:
    if part.kind == "dense":
        return keras.layers.Dense(
            part.units,
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
            name=name,
        )
    if part.kind == "dropout":
        return keras.layers.Dropout(part.share, name=name)
    if part.kind == "batch_norm":
        return keras.layers.BatchNormalization(name=name)
    if part.kind == "layer_norm":
        return keras.layers.LayerNormalization(name=name)
    return keras.layers.Activation(part.activation, name=name)
