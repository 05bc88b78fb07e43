"""Training and validation targets, read by number in a graph."""

from typing import Literal, Protocol

import numpy as np
import tensorflow as tf

Motion = Literal["nothing", "mask"]
"""How targets move with their augmented pictures: not, or as a mask does."""


class Targets(Protocol):
    """Targets of the pictures of one split, in their order.

    A target is the value that the loss compares with the logits.

    Attributes:
        moves_as: How augmentation moves a target with its picture: "nothing"
            (not at all) or "mask" (pixel by pixel).
    """

    moves_as: Motion

    def __len__(self) -> int:
        """Returns the number of pictures."""

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns the targets of the given pictures, in a TensorFlow graph.

        Args:
            places: int64 [batch], indices of pictures.
            views: int64 [batch], the view of each picture: its number among the
                fixed augmented versions; 0 is the unaugmented picture.

        Returns:
            [batch, …].
        """


class ArrayTargets:
    """Targets held in memory, the same for every view of a picture.

    Args:
        values: [n, …], one target per picture.

    Attributes:
        values: float32 [n, …], one target per picture.
        moves_as: "nothing": augmentation does not change a target.
    """

    moves_as: Motion = "nothing"

    def __init__(self, values: np.ndarray) -> None:
        """Copies the targets into a constant on the CPU."""
        self.values = np.asarray(values, "float32")
        # The input pipeline runs on the CPU; a constant on the GPU would be
        # copied back for every batch.
        with tf.device("CPU"):
            self._constant = tf.constant(self.values)

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.values)

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns the targets of the given pictures, in a TensorFlow graph.

        Args:
            places: int64 [batch], indices of pictures.
            views: Not used; every view has the same target.

        Returns:
            float32 [batch, …].
        """
        # A class or a number does not move with its picture.
        del views
        return tf.gather(self._constant, places)


class SelectedTargets:
    """Targets of a selection of pictures, in another order or repeated.

    Args:
        all_: The targets to choose from.
        places: Integers [n], the index in `all_` of each selected picture.

    Attributes:
        moves_as: How augmentation moves a target, as in the original targets.
    """

    def __init__(self, all_: Targets, places: np.ndarray) -> None:
        """Selects targets by index; they are not copied."""
        self.moves_as = all_.moves_as
        self._all = all_
        self._places = np.asarray(places, "int64")

    def __len__(self) -> int:
        """Returns the number of selected pictures."""
        return len(self._places)

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns the targets of the given pictures of the selection.

        Args:
            places: int64 [batch], indices into the selection.
            views: int64 [batch], the view of each picture; 0 is unaugmented.

        Returns:
            [batch, …], as the original targets return them.
        """
        return self._all.batch(tf.gather(self._places, places), views)


def batch_in_order(targets: Targets, batch_size: int) -> tf.data.Dataset:
    """Returns the targets of the unaugmented pictures, in batches.

    Args:
        targets: Targets of one split.
        batch_size: Pictures per batch; the last batch may hold fewer.

    Returns:
        Dataset of [batch, …], in the order of the pictures, each once.
    """
    return (
        tf.data.Dataset.range(len(targets))
        .batch(batch_size)
        .map(
            # View 0 is the picture without augmentation.
            lambda places: targets.batch(places, tf.zeros_like(places)),
            tf.data.AUTOTUNE,
            deterministic=True,
        )
    )
