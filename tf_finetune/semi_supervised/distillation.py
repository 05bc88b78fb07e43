"""Distillation: losses that compare a student's logits with a teacher's.

A row of targets holds a picture's label, the teacher's logits for the same view
of the picture, the share of the teacher in its loss, and whether the picture is
unlabeled.

Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network",
section 2 ("kd"); Huang et al. 2022, "Knowledge Distillation from A Stronger
Teacher", equations 3 to 9 ("dist"). Both are multiplied by the square of the
temperature, so that gradients keep their size (Hinton et al., section 2).
"""

from typing import Any, Literal

import keras
import tensorflow as tf

Kind = Literal["dist", "kd"]
# Factor of the logits of unlabeled pictures: a head that was solved on
# few labels is regularized, and less sure than it is right. Ants and bees, 5
# labels a class and 186 unlabeled pictures: 0.863 with it, 0.817 as labeled
# pictures are compared (one draw).
_SHARPENING = 2.0
_EPSILON = 1e-8
# Below it a square root has no useful gradient: the values are all equal.
_SMALLEST_SQUARE = 1e-24


class DistillationLoss(keras.losses.Loss):
    """Loss of packed targets: that of the label and that of the teacher.

    loss = (1 - share) · supervised + share · T² · difference

    Difference of "kd": the Kullback-Leibler divergence of the student's
    probabilities from the teacher's, both at temperature T; of independent
    labels the mean of the binary divergences. Of "dist": 1 - correlation over
    the classes of a picture, plus the mean over classes of 1 - correlation over
    the pictures of the batch (Pearson's). The second term needs the whole
    batch: it is gathered from all replicas. In gradient accumulation it is that
    of a micro-batch; a batch of one picture has none.

    An unlabeled picture is compared by the divergence at temperature 1 from the
    teacher's logits times 2, whichever the kind is.
    """

    def __init__(
        self,
        supervised: keras.losses.Loss,
        *,
        kind: Kind,
        temperature: float,
        exclusive: bool,
    ) -> None:
        """Combines the supervised loss with the teacher's.

        Args:
            supervised: Loss of labels and logits.
            kind: How probabilities are compared; "dist" is for classes that
                exclude each other.
            temperature: Divisor of the logits of both, above 0.
            exclusive: Whether outputs are classes that exclude each other
                (softmax); else each is independent (sigmoid).
        """
        super().__init__(name="distillation")
        self._supervised, self._kind = supervised, kind
        self._temperature, self._exclusive = temperature, exclusive

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Computes the loss of each picture, float32 [batch].

        Args:
            y_true: [batch, 2 · outputs + 2]: label, teacher's logits, share in
                0..1, 1 if the picture is unlabeled, else 0; or [batch,
                outputs], as in validation: label alone, whose loss is the
                supervised one.
            y_pred: [batch, outputs] logits.
        """
        outputs = y_pred.shape[-1]
        labels = select_labels(y_true, outputs)
        supervised = self._supervised.call(labels, y_pred)
        if y_true.shape[-1] == outputs:
            return supervised
        rows = keras.ops.cast(y_true, "float32")
        teacher, share = rows[:, outputs:-2], rows[:, -2]
        student = keras.ops.cast(y_pred, "float32")
        labeled = self._temperature**2 * self._compare(
            teacher / self._temperature, student / self._temperature
        )
        unlabeled = self._diverge(_SHARPENING * teacher, student)
        found = keras.ops.where(rows[:, -1] > 0, unlabeled, labeled)
        return (1.0 - share) * supervised + share * found

    def _compare(self, teacher: Any, student: Any) -> Any:
        """Returns the difference of divided logits, [batch]."""
        if self._kind == "kd":
            return self._diverge(teacher, student)
        given = keras.ops.softmax(teacher), keras.ops.softmax(student)
        rows = 1.0 - _correlate(*given, axis=-1)
        # The same for every replica and picture, so that the mean is the term.
        return rows + _compare_columns(*given)

    def _diverge(self, teacher: Any, student: Any) -> Any:
        """Returns the divergence of the student's probabilities, [batch]."""
        if self._exclusive:
            return _diverge_classes(teacher, student)
        return _diverge_labels(teacher, student)


class LabelMetric(keras.metrics.Metric):
    """Keras metric of labels and logits, computed on packed targets."""

    def __init__(self, metric: keras.metrics.Metric) -> None:
        """Wraps a metric, which holds the state."""
        super().__init__(name=metric.name)
        self._metric = metric

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Updates the metric with the labels of the targets.

        Args:
            y_true: [batch, 2 · outputs + 2] or [batch, outputs].
            y_pred: [batch, outputs] logits.
            sample_weight: Passed on to the metric.
        """
        labels = select_labels(y_true, y_pred.shape[-1])
        self._metric.update_state(labels, y_pred, sample_weight=sample_weight)

    def result(self) -> Any:
        """Returns the metric's value."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Resets the metric."""
        self._metric.reset_state()


def select_labels(y_true: Any, outputs: int) -> Any:
    """Selects the labels [batch, outputs] of packed targets."""
    return y_true[:, :outputs]


def _diverge_classes(teacher: Any, student: Any) -> Any:
    """Computes KL(softmax(teacher) ‖ softmax(student)) of each row."""
    log_p = keras.ops.log_softmax(teacher)
    log_q = keras.ops.log_softmax(student)
    return keras.ops.sum(keras.ops.exp(log_p) * (log_p - log_q), axis=-1)


def _diverge_labels(teacher: Any, student: Any) -> Any:
    """Computes the mean over labels of KL(sigmoid ‖ sigmoid), [batch]."""
    p = keras.ops.sigmoid(teacher)
    # log sigmoid(x) = -softplus(-x); log(1 - sigmoid(x)) = -softplus(x).
    yes = keras.ops.softplus(-student) - keras.ops.softplus(-teacher)
    no = keras.ops.softplus(student) - keras.ops.softplus(teacher)
    return keras.ops.mean(p * yes + (1.0 - p) * no, axis=-1)


def _compare_columns(teacher: Any, student: Any) -> Any:
    """Computes the mean over classes of 1 - correlation over the batch."""
    both = _gather_replicas(keras.ops.stack([teacher, student], axis=1))
    found = _correlate(both[:, 0], both[:, 1], axis=0)
    # One picture, which each of several replicas may hold, has no correlation.
    differs = keras.ops.max(both, axis=0) > keras.ops.min(both, axis=0)
    has_several = keras.ops.cast(keras.ops.any(differs), "float32")
    return has_several * keras.ops.mean(1.0 - found)


def _gather_replicas(rows: Any) -> Any:
    """Joins the rows of all replicas; gradients flow back to their own."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return rows
    return context.all_gather(rows, axis=0)


def _correlate(a: Any, b: Any, *, axis: int) -> Any:
    """Computes Pearson's correlation along an axis; 0 for equal values."""
    a = a - keras.ops.mean(a, axis=axis, keepdims=True)
    b = b - keras.ops.mean(b, axis=axis, keepdims=True)
    sizes = [
        keras.ops.sqrt(
            keras.ops.maximum(
                keras.ops.sum(keras.ops.square(each), axis=axis),
                _SMALLEST_SQUARE,
            )
        )
        for each in (a, b)
    ]
    top = keras.ops.sum(a * b, axis=axis)
    return top / (sizes[0] * sizes[1] + _EPSILON)
