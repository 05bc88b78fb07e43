"""Classification: each picture belongs to exactly one class."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.evaluation import metrics

_TOP = 5
_TEMPERATURE = "temperature"


class Classification:
    """One softmax over all classes."""

    name = "classification"

    def num_outputs(self, num_classes: int) -> int:
        """Returns one logit a class, also for two classes."""
        return num_classes

    def predictions(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Adds the softmax; [batch, classes] probabilities in float32."""
        softmax = keras.layers.Activation(
            "softmax", dtype="float32", name="probabilities"
        )
        return softmax(logits)

    def logits(self, model: keras.Model) -> keras.KerasTensor:
        """Returns what goes into the softmax, [batch, classes].

        Raises:
            RunError: The model does not end as `predictions` ends it.
        """
        softmax = model.layers[-1]
        if softmax.name != "probabilities":
            raise errors.RunError(
                f"The model ends with the layer {softmax.name!r}, not with "
                "the softmax this package adds; its logits cannot be told."
            )
        scaled = [each for each in model.layers if each.name == _TEMPERATURE]
        return scaled[0].input if scaled else softmax.input

    def calibrated(self, model: keras.Model, temperature: float) -> keras.Model:
        """Returns a model whose logits are divided by a temperature.

        Its layers are those of `model`, but for two new ones at the end.

        Source: Guo et al. 2017, "On Calibration of Modern Neural Networks",
        section 4.2, equation 9.
        """
        scaled = keras.layers.Rescaling(1 / temperature, name=_TEMPERATURE)
        probabilities = self.predictions(scaled(self.logits(model)))
        return keras.Model(model.inputs, probabilities, name=model.name)

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Returns the probabilities of [n, classes] logits, float32."""
        return special.softmax(logits.astype("float32"), axis=-1)

    def targets(self, data: examples.ImageData, split: str) -> np.ndarray:
        """Returns one-hot float32 labels [n, classes]."""
        indices = data.class_indices(data.split(split))
        return np.eye(len(data.class_names), dtype="float32")[indices]

    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns accuracy, over examples."""
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def rank(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Ranks by validation accuracy, ties by validation log loss."""
        return (epoch["val_accuracy"], -epoch["val_loss"])

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Orders results by accuracy, ties by log loss."""
        return (figures["accuracy"], -figures["log_loss"])

    def brief(self, figures: Mapping[str, Any]) -> str:
        """Returns accuracy and log loss."""
        return (
            f"accuracy {figures['accuracy']:.3f} "
            f"(log loss {figures['log_loss']:.3f})"
        )

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Returns accuracy, its interval and log loss."""
        names = ("accuracy", "accuracy_interval", "log_loss")
        return {name: figures[name] for name in names}

    def evaluate(
        self,
        targets: np.ndarray,
        predictions: np.ndarray,
        *,
        class_names: Sequence[str],
        seed: int,
    ) -> dict[str, Any]:
        """Returns accuracy with its interval and all that goes with it."""
        return metrics.classification(
            np.argmax(targets, axis=-1),
            predictions,
            class_names=class_names,
            seed=seed,
        )

    def serve(
        self, predictions: tf.Tensor, class_names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns the likeliest class, all probabilities, the five likeliest.

        `classes` string [batch], `probabilities` float32 [batch, classes],
        `top_k_classes` and `top_k_probabilities` [batch, k], best first; of
        equal classes the first one leads, in all of them.
        """
        names = _constant(class_names)
        best = tf.math.top_k(predictions, k=min(_TOP, len(class_names)))
        listed = tf.gather(names, best.indices)
        return {
            "classes": listed[:, 0],
            "probabilities": predictions,
            "top_k_classes": listed,
            "top_k_probabilities": best.values,
        }

    def classify(
        self, predictions: tf.Tensor, class_names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns every class and its probability, in the labels' order."""
        names = _constant(class_names)
        count = tf.shape(predictions)[0]
        return {
            "classes": tf.tile(names[tf.newaxis], [count, 1]),
            "scores": predictions,
        }


def _constant(class_names: Sequence[str]) -> tf.Tensor:
    # A class may be called after a folder whose name is no UTF-8.
    return tf.constant(
        [each.encode("utf-8", errors="surrogateescape") for each in class_names]
    )
