"""Network of a multi-label model: sigmoids, loss, metrics, serving outputs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tf_finetune.config import train, training_options
from tf_finetune.data import examples
from tf_finetune.data import targets as target_rows
from tf_finetune.tasks import ending
from tf_finetune.tasks.multilabel import cells as label_cells
from tf_finetune.tasks.multilabel import (
    class_weights,
    counts,
    losses,
    targets,
    thresholds,
)

_TOP = 5
_LOSS = "cross_entropy"  # What "auto" means.


@dataclasses.dataclass(frozen=True)
class Network:
    """One sigmoid per label.

    Attributes:
        decision: The thresholds, as `figures.decide` returns them.
    """

    # One logistic regression a label: the binary losses are independent.
    solver: ClassVar[str] = "logistic_per_label"
    proven: ClassVar[tuple[str, ...]] = ("probabilities",)
    texts: ClassVar[tuple[str, ...]] = ("labels",)
    num_proven: ClassVar[int] = 64

    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def decided(self, decision: Mapping[str, Any]) -> "Network":
        """Returns the network that serves labels at the thresholds."""
        return Network(decision)

    def num_outputs(self, names: Sequence[str]) -> int:
        """Returns one logit a label."""
        return len(names)

    def predictions(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Adds the sigmoids; [batch, labels] probabilities in float32."""
        return ending.added(logits, "sigmoid")

    def logits(self, model: keras.Model) -> keras.KerasTensor:
        """Finds the logits, the input of the sigmoids, [batch, labels].

        Raises:
            RunError: The model does not end as `predictions` ends it.
        """
        return ending.logits(model)

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Returns the probabilities of [n, labels] logits, float32."""
        return special.expit(logits.astype("float32"))

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train.TrainConfig,
        image_size: int,
    ) -> target_rows.Array:
        """Returns float32 [n, labels], 1 where a picture carries a label."""
        return target_rows.Array(
            targets.matrix(data.split(split), data.class_names)
        )

    def blank(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> target_rows.Array:
        """Returns placeholder rows in which every other label is present."""
        places = np.arange(count)[:, np.newaxis] + np.arange(len(names))
        return target_rows.Array(places % 2)

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
            weights = class_weights.of(
                np.array([carried[name] for name in names]),
                counts.total(described, "train"),
                options.class_weight,
            )
        return losses.MultilabelLoss(
            _LOSS if options.loss == "auto" else options.loss,
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
        listed_names = _constant(names)
        # float32 as the predictions, or one at its threshold could differ.
        bounds = thresholds.of(self.decision, names).astype("float32")
        given = predictions >= tf.constant(bounds)
        best = tf.math.top_k(predictions, k=min(_TOP, len(names)))
        return {
            "labels": _joined(given, names),
            "given": given,
            "probabilities": predictions,
            "top_k_labels": tf.gather(listed_names, best.indices),
            "top_k_probabilities": best.values,
        }

    def classify(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns every label and its probability, in the model's order."""
        count = tf.shape(predictions)[0]
        return {
            "classes": tf.tile(_constant(names)[tf.newaxis], [count, 1]),
            "scores": predictions,
        }


NETWORK = Network()


def _joined(given: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
    """Joins the names of the labels given [batch, labels] as `a|b`, [batch]."""
    # "|a" and "|b" are joined and the first bar is removed: each name is
    # escaped in Python, once, and the graph stays simple.
    begun = _constant(
        [label_cells.SEPARATOR + label_cells.escape(n) for n in names]
    )
    parts = tf.where(given, begun, "")
    joined = tf.strings.reduce_join(parts, axis=-1)
    return tf.strings.regex_replace(joined, r"^\|", "")


def _constant(names: Sequence[str]) -> tf.Tensor:
    return tf.constant(
        [each.encode("utf-8", errors="surrogateescape") for each in names]
    )
