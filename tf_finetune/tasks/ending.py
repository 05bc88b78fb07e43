"""The last layers of a model whose predictions are probabilities."""

import keras

from tf_finetune import errors
from tf_finetune.tasks import contracts

_NAME = "probabilities"
_TEMPERATURE = "temperature"


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

    Of a calibrated model the logits as they were trained.

    Raises:
        RunError: The model does not end so.
    """
    last = model.layers[-1]
    if last.name != _NAME:
        raise errors.RunError(
            f"The model ends with the layer {last.name!r}, not with the "
            f"{_NAME!r} this package adds; its logits cannot be told."
        )
    scaled = [each for each in model.layers if each.name == _TEMPERATURE]
    return scaled[0].input if scaled else last.input


def calibrated(
    model: keras.Model, network: contracts.Network, temperature: float
) -> keras.Model:
    """Returns a model whose logits are divided by a temperature.

    Its layers are those of `model`, but for two new ones at the end.

    Args:
        model: Ends as `network.predictions` ends it.
        network: Of the task.
        temperature: Above 0.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks",
    section 4.2, equation 9.
    """
    scaled = keras.layers.Rescaling(1 / temperature, name=_TEMPERATURE)
    predictions = network.predictions(scaled(network.logits(model)))
    return keras.Model(model.inputs[0], predictions, name=model.name)
