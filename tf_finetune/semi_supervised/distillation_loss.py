"""Feature distillation: features stay close to the pretrained ones.

loss = supervised + weight · mean over unlabeled pictures and features of
       (student − teacher)² / variance of the teacher's features

Source: Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", equation 3;
Li & Hoiem 2016, "Learning without Forgetting", section 3 (the network before
training as the teacher of the same network).
"""

from typing import Any

import keras

from tf_finetune.semi_supervised import group_model


class FeatureDistillation(keras.losses.Loss):
    """Distillation loss of groups: one labeled picture and unlabeled ones."""

    def __init__(
        self,
        supervised: keras.losses.Loss,
        form: group_model.GroupLayout,
        *,
        weight: float,
        variance: float,
    ) -> None:
        """Combines the supervised loss with the distance of features.

        Args:
            supervised: Loss of the labeled pictures.
            form: How targets and logits lie in rows.
            weight: Of the distance.
            variance: Of the teacher's features over pictures, averaged over
                features; distances are in units of it.
        """
        super().__init__(name="feature_distillation")
        self._supervised, self._form = supervised, form
        self._weight = weight / max(variance, 1e-12)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each group, [n]; in validation, supervised."""
        pair = self._form.select_labeled(y_true, y_pred)
        loss = group_model.average_per_group(self._supervised.call(*pair))
        # A row of outputs is logits, then features.
        student = y_pred[:, 1:, self._form.logits_size :]
        shape = keras.ops.shape(student)
        size = shape[1] * shape[2]
        # Not -1: validation has no unlabeled pictures, and nothing to count.
        student = keras.ops.reshape(student, [shape[0], size])
        # A row of targets is the label, then the teacher's features.
        teacher = y_true[:, self._form.target_size :]
        teacher = keras.ops.reshape(teacher, [shape[0], size])
        total = keras.ops.sum(keras.ops.square(student - teacher), axis=-1)
        count = keras.ops.cast(keras.ops.maximum(size, 1), "float32")
        return loss + self._weight * total / count
