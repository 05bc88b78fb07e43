"""Losses of groups of labeled and unlabeled pictures."""

from typing import Any

import keras

from tf_finetune.semi_supervised import group_model


class FixMatch(keras.losses.Loss):
    """FixMatch loss of groups: a labeled picture, weak and strong views.

    loss = supervised + weight · mean over unlabeled pictures of
           [confidence(weak) ≥ threshold] · cross_entropy(pseudo-label, strong)

    Source: Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning
    with Consistency and Confidence", equations 3 and 4. The mean is over all
    unlabeled pictures, those without a confident pseudo-label included.
    """

    def __init__(
        self,
        supervised: keras.losses.Loss,
        form: group_model.GroupLayout,
        *,
        weight: float,
        confidence: float,
        exclusive: bool,
    ) -> None:
        """Combines the supervised loss with that of pseudo-labels.

        Args:
            supervised: Loss of the labeled pictures.
            form: How targets and logits lie in rows.
            weight: Of the loss of unlabeled pictures.
            confidence: Probability from which a pseudo-label counts, 0..1.
            exclusive: Whether outputs are classes that exclude each other
                (softmax); else each is independent (sigmoid).
        """
        super().__init__(name="fixmatch")
        self._supervised, self._form = supervised, form
        self._weight = weight
        self._confidence, self._exclusive = confidence, exclusive

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each group, [n]; in validation, supervised."""
        pair = self._form.select_labeled(y_true, y_pred)
        loss = group_model.average_per_group(self._supervised.call(*pair))
        shape = keras.ops.shape(y_pred)
        classes = self._form.logits[-1]
        guesses = (shape[1] - 1) * (self._form.logits_size // classes)
        # One pseudo-label per picture, or per pixel.
        beside = keras.ops.reshape(y_pred[:, 1:], [shape[0], guesses, classes])
        half = keras.ops.shape(beside)[1] // 2
        # No gradient flows through the pseudo-labels.
        weak = keras.ops.stop_gradient(beside[:, :half])
        found = self._compute_pair_losses(weak, beside[:, half:])
        total = keras.ops.sum(found, axis=-1)
        count = keras.ops.cast(keras.ops.maximum(half, 1), "float32")
        return loss + self._weight * total / count

    def _compute_pair_losses(self, weak: Any, strong: Any) -> Any:
        """Returns the loss of each pseudo-label, [n, guesses]."""
        if self._exclusive:
            guess = keras.ops.one_hot(
                keras.ops.argmax(weak, axis=-1), weak.shape[-1]
            )
            # Not `max`, which fails on the empty tensors of validation.
            likely = keras.ops.sum(guess * keras.ops.softmax(weak), axis=-1)
            sure = likely >= self._confidence
            found = -keras.ops.sum(
                guess * keras.ops.log_softmax(strong), axis=-1
            )
            return keras.ops.cast(sure, "float32") * found
        probabilities = keras.ops.sigmoid(weak)
        # Confidence in either answer, yes or no.
        clear = keras.ops.maximum(probabilities, 1.0 - probabilities)
        sure = keras.ops.cast(clear >= self._confidence, "float32")
        guess = keras.ops.cast(probabilities >= 0.5, "float32")
        # softplus(x) - x·guess is the cross-entropy of sigmoid(x).
        found = keras.ops.softplus(strong) - strong * guess
        return keras.ops.mean(sure * found, axis=-1)


class FeatureDistillation(keras.losses.Loss):
    """Distillation loss of groups: features stay close to the pretrained ones.

    loss = supervised + weight · mean over unlabeled pictures and features of
           (student − teacher)² / variance of the teacher's features

    Source: Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", equation 3;
    Li & Hoiem 2016, "Learning without Forgetting", section 3 (the network
    before training as the teacher of the same network).
    """

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
