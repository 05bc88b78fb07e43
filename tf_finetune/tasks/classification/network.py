"""Network of a classifier: softmax, loss, metrics and serving outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import train_config, training_options
from tf_finetune.data import class_weights, examples
from tf_finetune.data import split_targets as target_rows
from tf_finetune.tasks import probability_network
from tf_finetune.tasks.classification import losses


class Network(probability_network.ProbabilityNetwork):
    """Softmax over all classes."""

    # Logistic regression: the head's log loss is convex in its weights.
    solver = "logistic"

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
            weights = class_weights.weigh_classes(
                np.array(counts), options.class_weight
            )
        return losses.ClassificationLoss(
            self.default_loss if options.loss == "auto" else options.loss,
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

        `classes` string [batch], `probabilities` float32 [batch, classes],
        `top_k_classes` and `top_k_probabilities` [batch, k], best first; of
        equal classes the first one leads, in all of them.
        """
        listed, probabilities = probability_network.find_likeliest(
            predictions, names
        )
        return {
            "classes": listed[:, 0],
            "probabilities": predictions,
            "top_k_classes": listed,
            "top_k_probabilities": probabilities,
        }


NETWORK = Network()
