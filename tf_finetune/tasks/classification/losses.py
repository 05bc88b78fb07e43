"""Losses of a classifier, in float32, with class weights inside."""

from collections.abc import Sequence
from typing import Any

import keras


class ClassificationLoss(keras.losses.Loss):
    """A loss of logits against (soft) one-hot labels.

    Class weights are part of the loss rather than `fit`'s `class_weight`,
    which fails with masks; for soft labels (label smoothing aside, MixUp) the
    weights mix as the labels do.
    """

    def __init__(
        self,
        name: str,
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        """Chooses the loss.

        Args:
            name: "cross_entropy"; "focal" (Lin et al. 2017, "Focal Loss for
                Dense Object Detection", equation 4, gamma 2, no alpha);
                "mean_squared_error" (of the probabilities: the Brier score
                over the number of classes).
            label_smoothing: Szegedy et al. 2016, section 7; 0..1.
            class_weights: One weight a class, or None.
        """
        super().__init__(name=name)
        self._label_smoothing = label_smoothing
        self._class_weights = class_weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]."""
        labels = keras.ops.cast(y_true, "float32")
        logits = keras.ops.cast(y_pred, "float32")
        # In float32 also under mixed precision.
        loss = self._unweighted_loss(labels, logits)
        if self._class_weights is None:
            return loss
        weights = keras.ops.convert_to_tensor(self._class_weights, "float32")
        # Of mixed labels (MixUp) the mixture of the classes' weights.
        return loss * keras.ops.sum(labels * weights, axis=-1)

    def _unweighted_loss(self, labels: Any, logits: Any) -> Any:
        if self.name == "mean_squared_error":
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
