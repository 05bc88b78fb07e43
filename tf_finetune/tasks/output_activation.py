"""Output activation of models that predict probabilities, and temperature."""

import keras

from tf_finetune import errors
from tf_finetune.tasks import contracts

# Names of the layers, by which a loaded model's logits are found.
_LAYER_NAME = "probabilities"
_TEMPERATURE_NAME = "temperature"


def add_activation(
    logits: keras.KerasTensor, activation: str
) -> keras.KerasTensor:
    """Adds the activation that makes probabilities of logits, in float32.

    Args:
        logits: [batch, …, outputs].
        activation: "softmax" or "sigmoid".
    """
    return keras.layers.Activation(
        activation, dtype="float32", name=_LAYER_NAME
    )(logits)


def find_logits(model: keras.Model) -> keras.KerasTensor:
    """Finds the logits: the input of a model's output activation.

    Of a calibrated model the logits before the division by the temperature.

    Raises:
        RunError: The model does not end with this package's activation.
    """
    last = model.layers[-1]
    if last.name != _LAYER_NAME:
        raise errors.RunError(
            f"The model ends with the layer {last.name!r}, not with the "
            f"{_LAYER_NAME!r} this package adds; its logits are unknown."
        )
    scaled = [each for each in model.layers if each.name == _TEMPERATURE_NAME]
    return scaled[0].input if scaled else last.input


def apply_temperature(
    model: keras.Model, network: contracts.Network, temperature: float
) -> keras.Model:
    """Divides a model's logits by a temperature (temperature scaling).

    Its layers are those of `model`, but for two new ones at the end.

    Args:
        model: Ends as `network.predictions` ends it.
        network: Of the task.
        temperature: Above 0.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks",
    section 4.2, equation 9.
    """
    # Equation 9: softmax(z / T). The likeliest class does not change.
    scaled = keras.layers.Rescaling(1 / temperature, name=_TEMPERATURE_NAME)
    predictions = network.predictions(scaled(network.find_logits(model)))
    # A tensor, not a list of one; inputs that go by name keep their names.
    inputs = model.input if isinstance(model.input, dict) else model.inputs[0]
    return keras.Model(inputs, predictions, name=model.name)
