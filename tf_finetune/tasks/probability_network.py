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
    """Builds a model whose logits are divided by a temperature.

    Args:
        model: Model that `network.predictions` ends; it is not changed, but
            the result shares its layers and weights.
        network: Network part of the task.
        temperature: Divisor of the logits, above 0.

    Returns:
        A new model with calibrated probabilities, from the same inputs.

    Raises:
        RunError: `network.predictions` does not end the model.

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
    """Output layers of tasks with one probability per name.

    Attributes:
        activation: Function from logits to probabilities.
        default_loss: The loss that `--loss=auto` stands for.
        parity_outputs: See `contracts.Network`.
        text_outputs: See `contracts.Network`.
        max_parity_pictures: See `contracts.Network`.
    """

    activation: ClassVar[Literal["softmax", "sigmoid"]] = "softmax"
    default_loss: ClassVar[str] = "cross_entropy"
    parity_outputs: ClassVar[tuple[str, ...]] = ("probabilities",)
    text_outputs: ClassVar[tuple[str, ...]] = ()
    max_parity_pictures: ClassVar[int] = 64

    def num_outputs(self, names: Sequence[str]) -> int:
        """Returns the number of names: one logit each, also for two classes."""
        return len(names)

    def predictions(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Adds the activation to the graph, as a layer in float32.

        Args:
            logits: [batch, …, names].

        Returns:
            Probabilities of the same shape, float32.
        """
        # By its name `find_logits` finds the layer in a loaded model.
        layer = keras.layers.Activation(
            self.activation, dtype="float32", name=_LAYER_NAME
        )
        return layer(logits)

    def find_logits(self, model: keras.Model) -> keras.KerasTensor:
        """Finds the logits, the input of the activation, [batch, …, names].

        In a calibrated model they are the logits before the division.

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
        """Computes float32 probabilities from logits [n, …, names] in NumPy."""
        logits = logits.astype("float32")
        if self.activation == "sigmoid":
            return special.expit(logits)
        return special.softmax(logits, axis=-1)

    def classify(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Builds the outputs of TensorFlow Serving's Classify.

        Args:
            predictions: [batch, names] probabilities.
            names: Names of the columns.

        Returns:
            `classes` string and `scores`, both [batch, names], in the order
            of `names` for every picture.
        """
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
        names: Names of the columns.

    Returns:
        Names (string) and probabilities (float32), both
        [batch, min(5, names)]; of equal ones the first leads.
    """
    # `top_k` puts the first of equal values first, as `argmax` does.
    best = tf.math.top_k(predictions, k=min(_TOP, len(names)))
    return tf.gather(encode_names(names), best.indices), best.values


def encode_names(names: Sequence[str]) -> tf.Tensor:
    """Encodes names as a string tensor [names], also those not in UTF-8."""
    # A class may be named after a folder whose name is not UTF-8.
    return tf.constant(
        [each.encode("utf-8", errors="surrogateescape") for each in names]
    )
