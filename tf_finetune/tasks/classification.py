"""Classification: each picture belongs to exactly one class."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from scipy import special

from tf_finetune.data import examples
from tf_finetune.evaluation import metrics


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
