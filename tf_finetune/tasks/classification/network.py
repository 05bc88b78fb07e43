"""Network of a classifier: softmax, loss, metrics and serving outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import train_config, training_options
from tf_finetune.data import class_weights, examples
from tf_finetune.data import split_targets as target_rows
from tf_finetune.metrics import temperature_scaling
from tf_finetune.tasks import certainty, probability_network


class ClassificationLoss(keras.losses.Loss):
    """Cross-entropy, focal or squared error of logits and one-hot labels.

    Class weights are part of the loss rather than `fit`'s `class_weight`, which
    fails with masks. Soft labels (MixUp) mix the weights of their classes;
    label smoothing does not.

    Args:
        name: "cross_entropy"; "focal" (Lin et al. 2017, "Focal Loss for Dense
            Object Detection", equation 4, gamma 2, no alpha);
            "mean_squared_error" (of the probabilities: the Brier score divided
            by the number of classes).
        label_smoothing: Share of the label spread over all classes, 0..1
            (Szegedy et al. 2016, section 7); the mean squared error ignores it.
        class_weights: One weight per class; None: equal weights.
        places: Classes that the softmax is over: others, of which there are no
            pictures, get no gradient; None: all.
    """

    def __init__(
        self,
        name: str,
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        places: Sequence[int] | None = None,
    ) -> None:
        """Chooses the loss function."""
        super().__init__(name=name)
        self._label_smoothing = label_smoothing
        self._class_weights = class_weights
        self._places = places

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Computes the loss of each example, float32 [batch].

        Args:
            y_true: [batch, classes] one-hot or soft labels.
            y_pred: [batch, classes] logits.
        """
        labels = keras.ops.cast(y_true, "float32")
        logits = keras.ops.cast(y_pred, "float32")
        weights = self._class_weights
        if self._places is not None:
            labels = keras.ops.take(labels, self._places, axis=-1)
            logits = keras.ops.take(logits, self._places, axis=-1)
            if weights is not None:
                weights = np.asarray(weights)[self._places]
        # In float32 also under mixed precision.
        loss = self._unweighted_loss(labels, logits)
        if weights is None:
            return loss
        weights = keras.ops.convert_to_tensor(weights, "float32")
        # Of mixed labels (MixUp) the mixture of the classes' weights.
        return loss * keras.ops.sum(labels * weights, axis=-1)

    def _unweighted_loss(self, labels: Any, logits: Any) -> Any:
        if self.name == "mean_squared_error":
            # Σ (p - y)² / K, the Brier score divided by the number of classes.
            probabilities = keras.ops.softmax(logits)
            return keras.losses.mean_squared_error(labels, probabilities)
        classes = labels.shape[-1]
        smooth = self._label_smoothing
        # Label smoothing: y · (1 - s) + s / K (Szegedy et al. 2016, section 7).
        labels = labels * (1.0 - smooth) + smooth / classes
        log_probabilities = keras.ops.log_softmax(logits)
        if self.name == "focal":
            # (1 - p)^2 · log(p): equation 4 of Lin et al. 2017 with gamma 2.
            misses = 1.0 - keras.ops.exp(log_probabilities)
            log_probabilities = keras.ops.square(misses) * log_probabilities
        return -keras.ops.sum(labels * log_probabilities, axis=-1)


class Network(probability_network.ProbabilityNetwork):
    """Output layers, loss and metrics of classification, with a softmax."""

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
        """Returns targets: a one-hot row per picture, float32 [classes].

        `config` and `image_size` are not used.
        """
        indices = data.class_indices(data.split(split))
        return target_rows.ArrayTargets(
            np.eye(len(data.class_names), dtype="float32")[indices]
        )

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> target_rows.ArrayTargets:
        """Returns placeholder targets: `count` one-hot rows, classes in turn.

        Args:
            names: Names of the classes.
            count: Number of pictures.
            image_size: Not used.
        """
        indices = np.arange(count) % len(names)
        return target_rows.ArrayTargets(
            np.eye(len(names), dtype="float32")[indices]
        )

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> ClassificationLoss:
        """Builds the loss that `--loss` names.

        Args:
            options: Name of the loss, label smoothing and class weights.
            names: Names of the classes.
            described: data.json with the class counts that class weights
                are computed from, and of which classes without training
                pictures are left out; None: equal weights of all classes.
        """
        weights = places = None
        if described is not None:
            counts = np.array(
                [described["classes"]["train"][name] for name in names]
            )
            if options.class_weight != "none":
                weights = class_weights.weigh_classes(
                    counts, options.class_weight
                )
            if not counts.all():
                places = np.flatnonzero(counts).tolist()
        return ClassificationLoss(
            self.default_loss if options.loss == "auto" else options.loss,
            label_smoothing=options.label_smoothing,
            class_weights=weights,
            places=places,
        )

    def metrics(self, names: Sequence[str]) -> list[keras.metrics.Metric]:
        """Builds a list of one Keras metric, "accuracy", for `fit`."""
        # Of the likeliest class, the same for logits and probabilities.
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def serve(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Builds the outputs of an exported model.

        Args:
            predictions: float32 [batch, classes] probabilities.
            names: Names of the classes.

        Returns:
            `classes` string [batch], the likeliest; `probabilities` float32
            [batch, classes]; `top_k_classes` string and
            `top_k_probabilities` float32 [batch, k], k at most 5, best
            first. Of equal classes the first one leads, in all of them.
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


class Certainty:
    """Temperature scaling and free energy of a softmax."""

    def create_temperature_scaling(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> certainty.CollectedLogits:
        """Creates an accumulator that keeps all logits in memory.

        Its arguments are not used.
        """
        del names, num_pictures, seed
        return certainty.CollectedLogits(fit_temperature)

    def ood_score(self, logits: tf.Tensor) -> tf.Tensor:
        """Computes the free energy [batch] of logits [batch, classes]."""
        return certainty.free_energy(logits)


CERTAINTY = Certainty()


def fit_temperature(
    logits: np.ndarray, targets: np.ndarray
) -> temperature_scaling.Calibration:
    """Fits the temperature of a softmax.

    Args:
        logits: [n, classes].
        targets: [n, classes], one-hot.

    Returns:
        The temperature, with log loss and calibration error before and after.
    """
    return temperature_scaling.fit_temperature(
        logits, np.argmax(targets, axis=1)
    )
