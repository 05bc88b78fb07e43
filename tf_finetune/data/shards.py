"""Division of every batch among replicas.

Batches are divided by position, so that all parts together are the batch that
one process would have seen.
"""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A contiguous range of replicas: one, or all of one worker.

    Attributes:
        first: The number of the first one, from 0.
        count: Number of replicas in the range.
        total: Number of all replicas.
    """

    first: int = 0
    count: int = 1
    total: int = 1

    @property
    def is_all(self) -> bool:
        """Whether these are all replicas."""
        return self.count == self.total

    def compute_bounds(self, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the positions [low, high) of the part in a batch.

        No part is empty: parts differ by one example at most, and a batch of
        fewer examples than replicas is given whole to each of them.

        Args:
            size: Examples in the batch, scalar integer, at least 1.
        """
        # floor(size · first / total): consecutive parts meet without a gap.
        size = tf.cast(size, tf.int64)
        low = size * self.first // self.total
        high = size * (self.first + self.count) // self.total
        # An empty batch has no mean loss, and collective operations need every
        # replica.
        is_small = size < self.total
        return (
            tf.where(is_small, tf.zeros_like(size), low),
            tf.where(is_small, size, high),
        )

    def max_size(self, batch_size: int) -> int:
        """Returns the most examples that `compute_bounds` can span.

        Args:
            batch_size: The most examples in a batch.
        """
        if self.is_all:
            return batch_size
        # Batches smaller than `total` go whole to every part.
        whole = min(batch_size, self.total - 1)
        return max(whole, -(-batch_size * self.count // self.total))


WHOLE = Shard()
"""The part of the only replica."""
