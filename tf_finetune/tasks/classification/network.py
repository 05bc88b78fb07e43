"""Network of a classifier: softmax, loss, metrics and serving outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tf_finetune.config import train_config, training_options
from tf_finetune.data import examples
from tf_finetune.data import split_targets as target_rows
from tf_finetune.tasks import output_activation
from tf_finetune.tasks.classification import losses

_TOP = 5
_LOSS = "cross_entropy"  # What "auto" means.


class Network:
    """Softmax over all classes."""

    # Logistic regression: the head's log loss is convex in its weights.
    solver = "logistic"
    parity_outputs = ("probabilities",)
    text_outputs = ()
    max_parity_pictures = 64

    def num_outputs(self, names: Sequence[str]) -> int:
        """Returns one logit a class, also for two classes."""
        return len(names)

    def predictions(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Adds the softmax; [batch, classes] probabilities in float32."""
        return output_activation.add_activation(logits, "softmax")

    def find_logits(self, model: keras.Model) -> keras.KerasTensor:
        """Finds the logits, the input of the softmax, [batch, classes].

        Raises:
            RunError: The model does not end as `predictions` ends it.
        """
        return output_activation.find_logits(model)

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Returns the probabilities of [n, classes] logits, float32."""
        return special.softmax(logits.astype("float32"), axis=-1)

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train_config.TrainConfig,
        image_size: int,
    ) -> target_rows.ArrayTargets:
        """Returns one-hot float32 labels [n, classes]."""
        indices = data.class_indices(data.split(split))
        return target_rows.ArrayTargets(
            np.eye(len(data.class_names), dtype="float32")[indices]
        )

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> target_rows.ArrayTargets:
        """Returns placeholder one-hot rows, each class in turn."""
        indices = np.arange(count) % len(names)
        return target_rows.ArrayTargets(
            np.eye(len(names), dtype="float32")[indices]
        )

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> losses.ClassificationLoss:
        """Builds the loss that `--loss` names."""
        weights = None
        if described is not None:
            counts = [described["classes"]["train"][name] for name in names]
            weights = losses.compute_class_weights(
                np.array(counts), options.class_weight
            )
        return losses.ClassificationLoss(
            _LOSS if options.loss == "auto" else options.loss,
            label_smoothing=options.label_smoothing,
            class_weights=weights,
        )

    def metrics(self, names: Sequence[str]) -> list[keras.metrics.Metric]:
        """Builds the accuracy, over examples."""
        # Of the likeliest class, the same for logits and probabilities.
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def serve(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns the likeliest class, all probabilities, the five likeliest.

        `list_classes` string [batch], `probabilities` float32 [batch, classes],
        `top_k_classes` and `top_k_probabilities` [batch, k], best first; of
        equal classes the first one leads, in all of them.
        """
        listed_names = _encode_names(names)
        # `top_k` puts the first of equal values first, as `argmax` does.
        best = tf.math.top_k(predictions, k=min(_TOP, len(names)))
        listed = tf.gather(listed_names, best.indices)
        return {
            "classes": listed[:, 0],
            "probabilities": predictions,
            "top_k_classes": listed,
            "top_k_probabilities": best.values,
        }

    def classify(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns every class and its probability, in the labels' order."""
        listed_names = _encode_names(names)
        count = tf.shape(predictions)[0]
        return {
            "classes": tf.tile(listed_names[tf.newaxis], [count, 1]),
            "scores": predictions,
        }


NETWORK = Network()


def _encode_names(names: Sequence[str]) -> tf.Tensor:
    # A class may be named after a folder whose name is not UTF-8.
    return tf.constant(
        [each.encode("utf-8", errors="surrogateescape") for each in names]
    )
