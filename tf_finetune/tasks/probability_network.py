"""Network of a task whose predictions are probabilities of its outputs."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tf_finetune.tasks import output_activation

_TOP = 5


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
        return output_activation.add_activation(logits, self.activation)

    def find_logits(self, model: keras.Model) -> keras.KerasTensor:
        """Finds the logits, the input of the activation, [batch, …, names].

        Raises:
            RunError: The model does not end as `predictions` ends it.
        """
        return output_activation.find_logits(model)

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
