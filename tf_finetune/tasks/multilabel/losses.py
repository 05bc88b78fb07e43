"""Losses of independent labels on logits, in float32, with label weights."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np

Name = Literal["cross_entropy", "focal", "asymmetric"]
_GAMMA = 2.0  # The best one in section 5.1 of Lin et al. 2017.
# Gamma- and margin m of Ridnik et al. 2021.
_GAMMA_ABSENT, _MARGIN = 4.0, 0.05


class MultilabelLoss(keras.losses.Loss):
    """A loss of logits against 0 and 1, the mean over the labels.

    Soft targets (label smoothing, MixUp, pseudo-labels) mix the loss of 1 and
    the loss of 0, and the weights with them.
    """

    def __init__(
        self,
        name: Name,
        *,
        label_smoothing: float = 0.0,
        class_weights: np.ndarray | Sequence | None = None,
    ) -> None:
        """Chooses the loss.

        Args:
            name: "cross_entropy", binary; "focal" (Lin et al. 2017, "Focal
                Loss for Dense Object Detection", equation 4, gamma 2, no
                alpha); "asymmetric" (Ridnik et al. 2021, "Asymmetric Loss For
                Multi-Label Classification", equations 4 to 7, gamma 0 for
                labels that are there, 4 for those that are not, margin 0.05).
            label_smoothing: Szegedy et al. 2016, section 7, of two classes:
                1 becomes 1 - s/2 and 0 becomes s/2.
            class_weights: [2, labels], as
                `class_weights.weigh_labels` returns them.
        """
        super().__init__(name=name)
        self._label_smoothing = label_smoothing
        self._class_weights = class_weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]."""
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
