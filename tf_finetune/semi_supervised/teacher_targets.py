"""Training targets that also hold a teacher's logits, by view."""

import numpy as np
import tensorflow as tf

from tf_finetune.data import split_targets as target_rows


class TeacherTargets:
    """Labels, a teacher's logits for each view, and the teacher's shares.

    Attributes:
        moves_as: "nothing": a label does not move with its picture, and the
            logits are those of the moved one already.
    """

    moves_as: target_rows.Motion = "nothing"

    def __init__(
        self,
        labels: target_rows.Targets,
        logits: np.ndarray,
        share: np.ndarray,
        unlabeled: np.ndarray,
    ) -> None:
        """Copies the logits into a constant on the CPU.

        Args:
            labels: Targets [outputs] of n pictures.
            logits: [views, n, outputs] of the teacher.
            share: [n] weight of the teacher in the loss of a picture, 0..1.
            unlabeled: [n] booleans, whether a picture has no label; its target
                in `labels` then has no effect with a share of 1.
        """
        self._labels = labels
        with tf.device("CPU"):
            self._logits = tf.constant(logits, "float32")
            self._shares = tf.constant(
                np.stack([share, unlabeled], axis=1), "float32"
            )

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self._labels)

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns packed targets, as `distillation.DistillationLoss` takes.

        Args:
            places: int64 [batch], indices of pictures.
            views: int64 [batch], the view of each picture.

        Returns:
            float32 [batch, 2 · outputs + 2]: label, teacher's logits, share,
            1 if it is unlabeled.
        """
        labels = self._labels.batch(places, views)
        logits = tf.gather_nd(self._logits, tf.stack([views, places], axis=1))
        shares = tf.gather(self._shares, places)
        return tf.concat([labels, logits, shares], axis=1)
