"""Network of a task whose predictions are probabilities of its outputs."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tf_finetune import errors
from tf_finetune.tasks import contracts

# Names of the layers, by which a loaded model's logits are found.
_LAYER_NAME = "probabilities"
_TEMPERATURE_NAME = "temperature"
_TOP = 5


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


class ProbabilityNetwork:
    """A softmax or sigmoids over one logit per name.

    Attributes:
        activation: Of the logits.
        default_loss: What `--loss=auto` means.
    """

    activation: ClassVar[Literal["softmax", "sigmoid"]] = "softmax"
    default_loss: ClassVar[str] = "cross_entropy"
    parity_outputs: ClassVar[tuple[str, ...]] = ("probabilities",)
    text_outputs: ClassVar[tuple[str, ...]] = ()
    max_parity_pictures: ClassVar[int] = 64

    def num_outputs(self, names: Sequence[str]) -> int:
        """Returns one logit a name, also for two classes."""
        return len(names)

    def predictions(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Adds the activation; [batch, …, names] probabilities in float32."""
        # By its name `find_logits` finds the layer in a loaded model.
        layer = keras.layers.Activation(
            self.activation, dtype="float32", name=_LAYER_NAME
        )
        return layer(logits)

    def find_logits(self, model: keras.Model) -> keras.KerasTensor:
        """Finds the logits, the input of the activation, [batch, …, names].

        Of a calibrated model the logits before the division by the temperature.

        Raises:
            RunError: The model does not end as `predictions` ends it.
        """
        last = model.layers[-1]
        if last.name != _LAYER_NAME:
            raise errors.RunError(
                f"The model ends with the layer {last.name!r}, not with the "
                f"{_LAYER_NAME!r} this package adds; its logits are unknown."
            )
        scaled = [e for e in model.layers if e.name == _TEMPERATURE_NAME]
        return scaled[0].input if scaled else last.input

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Returns the probabilities of [n, …, names] logits, float32."""
        logits = logits.astype("float32")
        if self.activation == "sigmoid":
            return special.expit(logits)
        return special.softmax(logits, axis=-1)

    def classify(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns every name and its probability, in the labels' order."""
        count = tf.shape(predictions)[0]
        return {
            "classes": tf.tile(encode_names(names)[tf.newaxis], [count, 1]),
            "scores": predictions,
        }


def find_likeliest(
    predictions: tf.Tensor, names: Sequence[str]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the five likeliest names and their probabilities, best first.

    Args:
        predictions: [batch, names].
        names: In the order of the columns.

    Returns:
        Strings and float32, both [batch, min(5, names)].
    """
    # `top_k` puts the first of equal values first, as `argmax` does.
    best = tf.math.top_k(predictions, k=min(_TOP, len(names)))
    return tf.gather(encode_names(names), best.indices), best.values


def encode_names(names: Sequence[str]) -> tf.Tensor:
    """Encodes names as strings, [names]."""
    # A class may be named after a folder whose name is not UTF-8.
    return tf.constant(
        [each.encode("utf-8", errors="surrogateescape") for each in names]
    )
