"""Network of a multi-label model: sigmoids, loss, metrics, serving outputs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import train_config, training_options
from tf_finetune.data import class_weights, examples
from tf_finetune.data import split_targets as target_rows
from tf_finetune.tasks import probability_network
from tf_finetune.tasks.multilabel import (
    label_cells,
    label_counts,
    label_matrix,
    label_thresholds,
    losses,
)


@dataclasses.dataclass(frozen=True)
class Network(probability_network.ProbabilityNetwork):
    """One sigmoid per label.

    Attributes:
        decision: The thresholds, as `Task.decide` returns them.
    """

    # One logistic regression a label: the binary losses are independent.
    solver: ClassVar[str] = "logistic_per_label"
    activation = "sigmoid"
    text_outputs = ("labels",)

    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def with_decision(self, decision: Mapping[str, Any]) -> "Network":
        """Returns the network that serves labels at the thresholds."""
        return Network(decision)

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train_config.TrainConfig,
        image_size: int,
    ) -> target_rows.ArrayTargets:
        """Returns float32 [n, labels], 1 where a picture carries a label."""
        return target_rows.ArrayTargets(
            label_matrix.build_matrix(data.split(split), data.class_names)
        )

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> target_rows.ArrayTargets:
        """Returns placeholder rows in which every other label is present."""
        places = np.arange(count)[:, np.newaxis] + np.arange(len(names))
        return target_rows.ArrayTargets(places % 2)

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> losses.MultilabelLoss:
        """Builds the loss that `--loss` names."""
        weights = None
        if described is not None:
            carried = described["labels"]["train"]
            weights = class_weights.weigh_labels(
                np.array([carried[name] for name in names]),
                label_counts.count_split(described, "train"),
                options.class_weight,
            )
        return losses.MultilabelLoss(
            self.default_loss if options.loss == "auto" else options.loss,
            label_smoothing=options.label_smoothing,
            class_weights=weights,
        )

    def metrics(self, names: Sequence[str]) -> list[keras.metrics.Metric]:
        """Builds average precision, the mean over the labels."""
        # Approximate: Keras counts at 200 thresholds. Evaluation is exact.
        return [
            keras.metrics.AUC(
                name="average_precision",
                curve="PR",
                summation_method="interpolation",
                multi_label=True,
                num_labels=len(names),
                from_logits=True,
            )
        ]

    def serve(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns the labels that are given, all probabilities, the likeliest.

        `labels` string [batch], those that reach their thresholds as `a|b`,
        in the model's order; `given` bool [batch, labels], which these are;
        `probabilities` float32 [batch, labels]; `top_k_labels` string and
        `top_k_probabilities` float32 [batch, k], best first.
        """
        # float32 as the predictions, or one at its threshold could differ.
        bounds = label_thresholds.read_thresholds(self.decision, names).astype(
            "float32"
        )
        given = predictions >= tf.constant(bounds)
        listed, likeliest = probability_network.find_likeliest(
            predictions, names
        )
        return {
            "labels": _join_names(given, names),
            "given": given,
            "probabilities": predictions,
            "top_k_labels": listed,
            "top_k_probabilities": likeliest,
        }


NETWORK = Network()


def _join_names(given: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
    """Joins the names of the labels given [batch, labels] as `a|b`, [batch]."""
    # "|a" and "|b" are joined and the first bar is removed: each name is
    # escaped in Python, once, and the graph stays simple.
    begun = probability_network.encode_names(
        [label_cells.SEPARATOR + label_cells.escape_label(n) for n in names]
    )
    parts = tf.where(given, begun, "")
    joined = tf.strings.reduce_join(parts, axis=-1)
    return tf.strings.regex_replace(joined, r"^\|", "")
