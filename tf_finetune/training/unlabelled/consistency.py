"""FixMatch: what is said surely of a weak view is learnt for the strong one.

loss = supervised + weight · mean over unlabeled pictures of
       [confidence(weak) ≥ threshold] · cross_entropy(guess(weak), strong)

Source: Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning with
Consistency and Confidence", equations 3 and 4. The mean is over all unlabeled
pictures, those without a sure guess included, as there.
"""

from typing import Any

import keras

from tf_finetune.training.unlabelled import groups


class FixMatch(keras.losses.Loss):
    """A loss of groups: one labelled picture, weak views, strong views."""

    def __init__(
        self,
        supervised: keras.losses.Loss,
        form: groups.Form,
        *,
        weight: float,
        confidence: float,
        exclusive: bool,
    ) -> None:
        """Joins two losses.

        Args:
            supervised: Of the labelled pictures.
            form: How targets and logits lie in rows.
            weight: Of their loss.
            confidence: Probability from which a guess is sure, 0..1.
            exclusive: Whether a picture (or pixel) shows one of the outputs;
                else each output is a question of its own.
        """
        super().__init__(name="fixmatch")
        self._supervised, self._form = supervised, form
        self._weight = weight
        self._confidence, self._exclusive = confidence, exclusive

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each group, [n]; of validation, supervised."""
        pair = self._form.labelled(y_true, y_pred)
        loss = groups.per_group(self._supervised.call(*pair))
        shape = keras.ops.shape(y_pred)
        classes = self._form.logits[-1]
        guesses = (shape[1] - 1) * (self._form.logits_size // classes)
        beside = keras.ops.reshape(y_pred[:, 1:], [shape[0], guesses, classes])
        half = keras.ops.shape(beside)[1] // 2
        weak = keras.ops.stop_gradient(beside[:, :half])
        found = self._of_pairs(weak, beside[:, half:])
        total = keras.ops.sum(found, axis=-1)
        count = keras.ops.cast(keras.ops.maximum(half, 1), "float32")
        return loss + self._weight * total / count

    def _of_pairs(self, weak: Any, strong: Any) -> Any:
        """Returns the loss of each guess, [n, guesses]."""
        if self._exclusive:
            guess = keras.ops.one_hot(
                keras.ops.argmax(weak, axis=-1), weak.shape[-1]
            )
            # Not `max`, which refuses validation's empty tensors.
            likely = keras.ops.sum(guess * keras.ops.softmax(weak), axis=-1)
            sure = likely >= self._confidence
            found = -keras.ops.sum(
                guess * keras.ops.log_softmax(strong), axis=-1
            )
            return keras.ops.cast(sure, "float32") * found
        probabilities = keras.ops.sigmoid(weak)
        clear = keras.ops.maximum(probabilities, 1.0 - probabilities)
        sure = keras.ops.cast(clear >= self._confidence, "float32")
        guess = keras.ops.cast(probabilities >= 0.5, "float32")
        # softplus(x) - x·guess is the cross-entropy of sigmoid(x).
        found = keras.ops.softplus(strong) - strong * guess
        return keras.ops.mean(sure * found, axis=-1)
