"""Model, losses and metrics of groups of labeled and unlabeled pictures.

The one `fit` sees examples that are groups (`data.mixed_groups`): the network
is applied to every picture of a group, and the outputs of all of them are one
tensor, from which the loss takes its parts. So replicas, micro-batches,
mixed precision and interruptions work as for single pictures.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupLayout:
    """Layout of the targets and logits that a mixed group packs into a row.

    A mixed group is one labeled picture followed by unlabeled ones.

    Attributes:
        target: Shape of one labeled picture's target.
        logits: Shape of one picture's logits.
        dtype: Type of the targets.
    """

    target: tuple[int, ...]
    logits: tuple[int, ...]
    dtype: str = "float32"

    @property
    def target_size(self) -> int:
        """Number of values of one target."""
        return math.prod(self.target)

    @property
    def logits_size(self) -> int:
        """Number of logits of one picture."""
        return math.prod(self.logits)

    def select_labeled(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Selects target and logits of the labeled picture of each group.

        Args:
            y_true: [n, target_size + …].
            y_pred: [n, pictures, logits_size + …].

        Returns:
            Targets [n, *target] and logits [n, *logits].
        """
        target = y_true[:, : self.target_size]
        target = keras.ops.cast(target, self.dtype)
        # The labeled picture is the first of its group.
        logits = y_pred[:, 0, : self.logits_size]
        return (
            keras.ops.reshape(target, [-1, *self.target]),
            keras.ops.reshape(logits, [-1, *self.logits]),
        )


class GroupNetwork(keras.layers.Layer):
    """Layer that applies a network to each picture of each mixed group."""

    def __init__(self, network: keras.Model) -> None:
        """Wraps a network of single pictures; its weights are shared."""
        # float32: outputs are joined with targets and compared by a loss.
        super().__init__(name="of_groups", dtype="float32")
        self.network = network

    @property
    def trainable(self) -> bool:
        """Always true: the layers of the network decide for themselves."""
        return True

    @trainable.setter
    def trainable(self, value: bool) -> None:
        """Ignores the value: the layers of the network decide themselves."""
        del value

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Empty: metrics of a network compiled before are not updated."""
        return []

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes the network's outputs for each picture of each group.

        Takes [n, pictures, …]; returns float32 [n, pictures, numbers], in
        which all outputs of a picture are joined.
        """
        count = keras.ops.shape(inputs)[1]
        # Groups join the batch axis, so that batch norms see all pictures.
        flat = keras.ops.reshape(inputs, [-1, *inputs.shape[2:]])
        found = keras.tree.flatten(self.network(flat, training=training))
        rows = [
            keras.ops.reshape(
                keras.ops.cast(each, "float32"),
                [-1, count, math.prod(each.shape[1:])],
            )
            for each in found
        ]
        return keras.ops.concatenate(rows, axis=-1)

    def compute_output_spec(
        self, inputs: Any, training: bool | None = None
    ) -> keras.KerasTensor:
        """Returns shape and dtype of the output of `call`, for Keras."""
        del training
        width = sum(math.prod(e.shape[1:]) for e in self.network.outputs)
        return keras.KerasTensor([*inputs.shape[:2], width], "float32")


def build_trainer(network: keras.Model) -> keras.Model:
    """Builds a model of groups that shares the layers of a network.

    Args:
        network: Pictures [batch, size, size, 3] → one tensor or several.

    Returns:
        [n, pictures, size, size, 3] → [n, pictures, numbers].
    """
    inputs = keras.Input([None, *network.inputs[0].shape[1:]])
    return keras.Model(inputs, GroupNetwork(network)(inputs), name="trainer")


class LabeledMetric(keras.metrics.Metric):
    """Metric of single pictures, computed on each group's labeled picture."""

    def __init__(self, metric: keras.metrics.Metric, form: GroupLayout) -> None:
        """Wraps `metric`, which holds the state and gives the name."""
        super().__init__(name=metric.name)
        self._metric, self._form = metric, form

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Updates the metric with the labeled picture of each group.

        Args:
            y_true: [n, target_size + …].
            y_pred: [n, pictures, logits_size + …].
            sample_weight: Passed on to the metric.
        """
        pair = self._form.select_labeled(y_true, y_pred)
        self._metric.update_state(*pair, sample_weight=sample_weight)

    def result(self) -> Any:
        """Returns the metric's value."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Resets the metric."""
        self._metric.reset_state()


def average_per_group(loss: Any) -> Any:
    """Averages a loss [groups, …] over all axes but the first: [groups]."""
    axes: Sequence[int] = range(1, len(loss.shape))
    return keras.ops.mean(loss, axis=tuple(axes)) if axes else loss


class FixMatch(keras.losses.Loss):
    """FixMatch loss of groups: a labeled picture, weak and strong views.

    loss = supervised + weight · mean over unlabeled pictures of
           [confidence(weak) ≥ threshold] · cross_entropy(pseudo-label, strong)

    The mean includes pictures without a confident pseudo-label.

    Args:
        supervised: Loss of the labeled pictures.
        form: How targets and logits lie in rows.
        weight: Weight of the loss of unlabeled pictures.
        confidence: Probability from which a pseudo-label counts, 0..1.
        exclusive: Whether outputs are classes that exclude each other
            (softmax); else each is independent (sigmoid).

    Source: Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning
    with Consistency and Confidence", equations 3 and 4.
    """

    def __init__(
        self,
        supervised: keras.losses.Loss,
        form: GroupLayout,
        *,
        weight: float,
        confidence: float,
        exclusive: bool,
    ) -> None:
        """Combines the supervised loss with that of pseudo-labels."""
        super().__init__(name="fixmatch")
        self._supervised, self._form = supervised, form
        self._weight = weight
        self._confidence, self._exclusive = confidence, exclusive

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Computes each group's loss, [n]; of lone pictures the supervised.

        Args:
            y_true: [n, target_size].
            y_pred: [n, pictures, logits_size]: the labeled picture, the weak
                views, then as many strong views in the same order.
        """
        pair = self._form.select_labeled(y_true, y_pred)
        loss = average_per_group(self._supervised.call(*pair))
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

    Args:
        supervised: Loss of the labeled pictures.
        form: How targets and logits lie in rows.
        weight: Weight of the distance.
        variance: Variance of the teacher's features over pictures, averaged
            over features; the unit of squared distances.

    Source: Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", equation 3;
    Li & Hoiem 2016, "Learning without Forgetting", section 3 (the network
    before training as the teacher of the same network).
    """

    def __init__(
        self,
        supervised: keras.losses.Loss,
        form: GroupLayout,
        *,
        weight: float,
        variance: float,
    ) -> None:
        """Combines the supervised loss with the distance of features."""
        super().__init__(name="feature_distillation")
        self._supervised, self._form = supervised, form
        self._weight = weight / max(variance, 1e-12)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Computes each group's loss, [n]; of lone pictures the supervised.

        Args:
            y_true: [n, target_size + unlabeled · width]: the target, then the
                teacher's features.
            y_pred: [n, pictures, logits_size + width]: logits, then features.
        """
        pair = self._form.select_labeled(y_true, y_pred)
        loss = average_per_group(self._supervised.call(*pair))
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
