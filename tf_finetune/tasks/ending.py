"""The last layer of a model whose predictions are probabilities."""

import keras

from tf_finetune import errors

_NAME = "probabilities"


def added(logits: keras.KerasTensor, activation: str) -> keras.KerasTensor:
    """Returns the probabilities of logits, of the same shape, in float32.

    Args:
        logits: [batch, …, outputs].
        activation: "softmax" or "sigmoid".
    """
    return keras.layers.Activation(activation, dtype="float32", name=_NAME)(
        logits
    )


def logits(model: keras.Model) -> keras.KerasTensor:
    """Returns what went into the layer that `added` put at the end.

    Raises:
        RunError: The model does not end so.
    """
    last = model.layers[-1]
    if last.name != _NAME:
        raise errors.RunError(
            f"The model ends with the layer {last.name!r}, not with the "
            f"{_NAME!r} this package adds; its logits cannot be told."
        )
    return last.input
