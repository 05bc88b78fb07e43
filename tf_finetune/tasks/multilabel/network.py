"""Network of a multi-label model: sigmoids, loss, metrics, serving outputs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

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
    label_thresholds,
)

Name = Literal["cross_entropy", "focal", "asymmetric"]
_GAMMA = 2.0  # The best one in section 5.1 of Lin et al. 2017.
# Gamma- and margin m of Ridnik et al. 2021.
_GAMMA_ABSENT, _MARGIN = 4.0, 0.05


class MultilabelLoss(keras.losses.Loss):
    """Cross-entropy, focal or asymmetric loss, the mean over the labels.

    It compares logits with targets 0 and 1. Soft targets (label smoothing,
    MixUp, pseudo-labels) mix the loss of 1 and the loss of 0, and the weights
    with them.

    Args:
        name: "cross_entropy", binary; "focal" (Lin et al. 2017, "Focal Loss for
            Dense Object Detection", equation 4, gamma 2, no alpha);
            "asymmetric" (Ridnik et al. 2021, "Asymmetric Loss For Multi-Label
            Classification", equations 4 to 7, gamma 0 for present labels, 4 for
            absent ones, margin 0.05).
        label_smoothing: Share s in 0..1 (Szegedy et al. 2016, section 7, of two
            classes): 1 becomes 1 - s/2 and 0 becomes s/2.
        class_weights: [2, labels], weights of absent, then of present labels,
            as `class_weights.weigh_labels` returns them; None: equal weights.
    """

    def __init__(
        self,
        name: Name,
        *,
        label_smoothing: float = 0.0,
        class_weights: np.ndarray | Sequence | None = None,
    ) -> None:
        """Chooses the loss function."""
        super().__init__(name=name)
        self._label_smoothing = label_smoothing
        self._class_weights = class_weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Computes the loss of each example, float32 [batch].

        Args:
            y_true: [batch, labels] targets in 0..1.
            y_pred: [batch, labels] logits.
        """
        targets = keras.ops.cast(y_true, "float32")
        logits = keras.ops.cast(y_pred, "float32")
        smooth = self._label_smoothing
        # Label smoothing of two classes: y · (1 - s) + s / 2.
        present = targets * (1.0 - smooth) + smooth / 2
        absent = 1.0 - present
        if self._class_weights is not None:
            weights = keras.ops.convert_to_tensor(
                self._class_weights, "float32"
            )
            absent, present = absent * weights[0], present * weights[1]
        if_absent, if_present = self._compute_label_losses(logits)
        return keras.ops.mean(absent * if_absent + present * if_present, -1)

    def _compute_label_losses(self, logits: Any) -> tuple[Any, Any]:
        """Computes the losses [batch, labels] of targets 0 and of targets 1."""
        # -log(1 - p) = softplus(z) and -log(p) = softplus(-z), from logits.
        if_absent = keras.ops.softplus(logits)
        if_present = keras.ops.softplus(-logits)
        if self.name == "cross_entropy":
            return if_absent, if_present
        probability = keras.ops.sigmoid(logits)
        if self.name == "focal":
            # (1 - p_t)^gamma · -log(p_t), equation 4.
            return (
                probability**_GAMMA * if_absent,
                (1.0 - probability) ** _GAMMA * if_present,
            )
        # Equation 5: p_m = max(p - m, 0); very easy negatives weigh nothing.
        shifted = keras.ops.maximum(probability - _MARGIN, 0.0)
        return (
            -(shifted**_GAMMA_ABSENT) * keras.ops.log1p(-shifted),
            if_present,
        )


@dataclasses.dataclass(frozen=True)
class Network(probability_network.ProbabilityNetwork):
    """Output layers, loss and metrics of multi-label classification.

    Attributes:
        decision: `thresholds` by label, as `Task.decide` returns them;
            empty: 0.5 for all.
    """

    # One logistic regression a label: the binary losses are independent.
    solver: ClassVar[str] = "logistic_per_label"
    activation = "sigmoid"
    text_outputs = ("labels",)

    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def with_decision(self, decision: Mapping[str, Any]) -> "Network":
        """Returns a new network that serves labels at these thresholds."""
        return Network(decision)

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train_config.TrainConfig,
        image_size: int,
    ) -> target_rows.ArrayTargets:
        """Returns targets: float32 [labels] a picture, 1 where it carries one.

        `config` and `image_size` are not used.
        """
        return target_rows.ArrayTargets(
            label_counts.build_matrix(data.split(split), data.class_names)
        )

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> target_rows.ArrayTargets:
        """Returns placeholder targets, 0 and 1 in turn, [labels] per picture.

        `count` is the number of pictures; `image_size` is not used.
        """
        places = np.arange(count)[:, np.newaxis] + np.arange(len(names))
        return target_rows.ArrayTargets(places % 2)

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> MultilabelLoss:
        """Builds the loss that `--loss` names.

        Args:
            options: Name of the loss, label smoothing and class weights.
            names: Names of the labels.
            described: data.json with the label counts that class weights
                are computed from; None: equal weights.
        """
        weights = None
        if described is not None:
            carried = described["labels"]["train"]
            weights = class_weights.weigh_labels(
                np.array([carried[name] for name in names]),
                label_counts.count_split(described, "train"),
                options.class_weight,
            )
        return MultilabelLoss(
            self.default_loss if options.loss == "auto" else options.loss,
            label_smoothing=options.label_smoothing,
            class_weights=weights,
        )

    def metrics(self, names: Sequence[str]) -> list[keras.metrics.Metric]:
        """Builds a list of one Keras metric, mean average precision."""
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
        """Builds the outputs of an exported model.

        Args:
            predictions: float32 [batch, labels] probabilities.
            names: Names of the labels.

        Returns:
            `labels` string [batch], those that reach their thresholds as
            `a|b`, in the model's order; `given` bool [batch, labels], which
            these are; `probabilities` float32 [batch, labels];
            `top_k_labels` string and `top_k_probabilities` float32
            [batch, k], k at most 5, best first.
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
