"""Order of an epoch's examples, and its division among replicas.

The order is a function of seed and epoch alone. Batches are divided by
position, so that all parts together are the batch that one process would have
seen.
"""

import dataclasses

import tensorflow as tf

# Number of this stream of random draws; 1 to 5 are those of the batches.
_ORDER_STREAM = 0


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


def draw_padded(
    count: int, padded_count: int, seed: int, epoch: tf.Tensor
) -> tf.Tensor:
    """Draws the order of an epoch's examples, padded with -1.

    Padding makes each epoch a whole number of batches, so that pictures of
    the next epoch can be read while this one ends.

    Args:
        count: Of the examples.
        padded_count: Of the places, a multiple of the batch size.
        seed: Start of every random draw.
        epoch: Scalar integer, from 0.

    Returns:
        int64 [padded_count]: a permutation of 0 .. count - 1, then -1.
    """
    order = draw_permutation(count, seed, _ORDER_STREAM, epoch)
    return tf.pad(order, [[0, padded_count - count]], constant_values=-1)


def draw_permutation(
    count: int, seed: int, stream: int, epoch: tf.Tensor
) -> tf.Tensor:
    """Draws a permutation of the numbers 0 .. count - 1.

    Args:
        count: Of the numbers.
        seed: Start of every random draw.
        stream: Number that tells the draws of one seed apart by purpose.
        epoch: Scalar integer, from 0.

    Returns:
        int64 [count].
    """
    # Sorting random keys draws a permutation. The counter-based philox gives
    # the same numbers on every device; `stable` settles equal keys.
    keys = tf.random.stateless_uniform(
        (count,),
        seed=fold_seed(seed, stream, epoch),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )
    return tf.cast(tf.argsort(keys, stable=True), tf.int64)


def take_shard(order: tf.Tensor, batch_size: int, part: Shard) -> tf.Tensor:
    """Returns one part of each batch of an order, padded to one length.

    Args:
        order: [steps * batch_size]; -1 behind the last example.
        batch_size: Of whole batches.
        part: Which one.

    Returns:
        int64 [steps * part.largest(batch_size)], -1 where there is none.
    """

    def take_part(places: tf.Tensor) -> tf.Tensor:
        low, high = part.compute_bounds(tf.math.count_nonzero(places >= 0))
        found = places[low:high]
        width = part.max_size(batch_size)
        padding = [[0, width - tf.shape(found)[0]]]
        return tf.pad(found, padding, constant_values=-1)

    rows = tf.reshape(order, [-1, batch_size])
    return tf.reshape(tf.map_fn(take_part, rows), [-1])


def fold_seed(seed: int, *numbers: tf.Tensor | int) -> tf.Tensor:
    """Folds numbers into a seed for stateless random draws, int32 [2]."""
    folded = tf.constant([seed, 0], tf.int32)
    for number in numbers:
        folded = tf.random.fold_in(
            folded, tf.cast(number, tf.int32), alg="philox"
        )
    return folded
