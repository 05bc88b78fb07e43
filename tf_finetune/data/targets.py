"""What the model should say of pictures, as training and validation read it."""

from typing import Protocol

import numpy as np
import tensorflow as tf


class Targets(Protocol):
    """The targets of the pictures of one split, in their order.

    Attributes:
        moves: Whether a target lies on its picture, as a mask does, and is
            moved with it by augmentation.
    """

    moves: bool

    def __len__(self) -> int:
        """Returns the number of pictures."""

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns the targets of some pictures, in a graph.

        Args:
            places: int64 [batch], numbers of pictures.
            views: int64 [batch], which of the fixed views of each picture;
                0 is the picture as it is.

        Returns:
            [batch, …].
        """


class Array:
    """Targets that are rows of numbers, the same for every view.

    Attributes:
        values: float32 [n, …].
    """

    moves = False

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.asarray(values, "float32")
        with tf.device("CPU"):
            self._constant = tf.constant(self.values)

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.values)

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns float32 [batch, …]."""
        del views
        return tf.gather(self._constant, places)


class Selected:
    """Some of the pictures of a split, in another order or repeated."""

    def __init__(self, all_: Targets, places: np.ndarray) -> None:
        """Chooses.

        Args:
            all_: The targets to choose from.
            places: Numbers of pictures.
        """
        self.moves = all_.moves
        self._all = all_
        self._places = np.asarray(places, "int64")

    def __len__(self) -> int:
        """Returns how many were chosen."""
        return len(self._places)

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns the targets of those chosen."""
        return self._all.batch(tf.gather(self._places, places), views)


def in_order(targets: Targets, batch_size: int) -> tf.data.Dataset:
    """Returns the targets of pictures as they are, in batches."""
    return (
        tf.data.Dataset.range(len(targets))
        .batch(batch_size)
        .map(
            lambda places: targets.batch(places, tf.zeros_like(places)),
            tf.data.AUTOTUNE,
            deterministic=True,
        )
    )
