"""Keras metric of mean IoU, from a running confusion matrix."""

from typing import Any

import keras


class MeanIoU(keras.metrics.Metric):
    """Mean IoU over the classes that occur, from a running confusion matrix.

    The matrix is a sum over pixels, so that the value of an epoch is that of
    all its pictures, and replicas' matrices are added.
    """

    def __init__(self, num_classes: int, name: str = "mean_iou") -> None:
        """Creates an empty confusion matrix.

        Args:
            num_classes: Of the task; other values of a mask are ignored.
            name: As `fit` reports it.
        """
        super().__init__(name=name)
        self._num_classes = num_classes
        self.confusion = self.add_variable(
            shape=(num_classes, num_classes),
            initializer="zeros",
            # Replicas count different pictures of a batch.
            aggregation="sum",
            name="confusion",
        )

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Adds the pixels of a batch.

        Args:
            y_true: [batch, height, width] class indices.
            y_pred: [batch, height, width, classes] logits.
            sample_weight: Must be None: pixels count or are ignored.
        """
        if sample_weight is not None:
            raise ValueError(
                "MeanIoU takes no sample weights; ignore pixels instead."
            )
        classes = self._num_classes
        true = keras.ops.reshape(keras.ops.cast(y_true, "int32"), [-1])
        predicted = keras.ops.reshape(
            keras.ops.cast(keras.ops.argmax(y_pred, axis=-1), "int32"), [-1]
        )
        # Cell (true, predicted) has index true · classes + predicted; ignored
        # pixels are counted in a further one that is dropped.
        cells = keras.ops.where(
            true < classes, true * classes + predicted, classes**2
        )
        counts = keras.ops.segment_sum(
            keras.ops.ones_like(cells, dtype="float32"),
            cells,
            num_segments=classes**2 + 1,
        )
        self.confusion.assign_add(
            keras.ops.reshape(counts[:-1], [classes, classes])
        )

    def result(self) -> Any:
        """Returns mean IoU, 0..1; 0 before the first pixel."""
        # TP / (TP + FP + FN), averaged over the classes with true pixels.
        confusion = keras.ops.convert_to_tensor(self.confusion)
        hits = keras.ops.diagonal(confusion)
        true = keras.ops.sum(confusion, axis=1)
        union = true + keras.ops.sum(confusion, axis=0) - hits
        occurs = keras.ops.cast(true > 0, "float32")
        total = keras.ops.sum(occurs * hits / keras.ops.maximum(union, 1.0))
        return total / keras.ops.maximum(keras.ops.sum(occurs), 1.0)
