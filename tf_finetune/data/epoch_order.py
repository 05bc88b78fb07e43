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

    A replica is a device that computes a share of each batch.

    Attributes:
        first: The number of the range's first replica, from 0.
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
        """Computes the share of a batch that these replicas get.

        No share is empty: shares of single replicas differ by one example at
        most, and a batch of fewer examples than `total` is given whole to each
        of them.

        Args:
            size: Examples in the whole batch, scalar integer, at least 1.

        Returns:
            int64 scalars (low, high): the positions low .. high - 1 of the
            batch.
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
            batch_size: The most examples in a whole batch.
        """
        if self.is_all:
            return batch_size
        # Batches smaller than `total` go whole to every part.
        whole = min(batch_size, self.total - 1)
        return max(whole, -(-batch_size * self.count // self.total))


WHOLE = Shard()
"""All replicas: the share of a batch is the whole batch."""


def draw_padded(
    count: int, padded_count: int, seed: int, epoch: tf.Tensor
) -> tf.Tensor:
    """Draws the order of an epoch's examples, padded with -1.

    Padding makes each epoch a whole number of batches, so that pictures of the
    next epoch can be read while this one ends.

    Args:
        count: Number of examples.
        padded_count: Length of the result, at least `count`: a multiple of the
            batch size.
        seed: Seed of the run; seed and epoch alone determine the order.
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
        count: How many numbers.
        seed: Seed of the run.
        stream: Number of the purpose; draws of one seed for different purposes
            are independent.
        epoch: Scalar integer, from 0.

    Returns:
        int64 [count], the same on every device for the same arguments.
    """
    # Sorting random keys draws a permutation. The counter-based philox gives
    # the same numbers on every device; `stable` settles equal keys.
    keys = tf.random.stateless_uniform(
        (count,),
        seed=fold_seed(seed, stream, epoch),
        # Both None: all numbers of int64.
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )
    return tf.cast(tf.argsort(keys, stable=True), tf.int64)


def take_shard(order: tf.Tensor, batch_size: int, part: Shard) -> tf.Tensor:
    """Selects the share of some replicas from each batch of an order.

    Args:
        order: int64 [steps * batch_size], numbers of examples; -1 behind the
            last example, as `draw_padded` returns them.
        batch_size: Examples in a whole batch.
        part: The replicas.

    Returns:
        int64 [steps * part.max_size(batch_size)]: the share of each batch in
        turn, each padded with -1 to the same length.
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
    """Derives a seed for stateless random draws from a seed and some numbers.

    Args:
        seed: Seed of the run.
        *numbers: Integers such as purpose, epoch and step; their order counts.

    Returns:
        int32 [2], for the `seed` of `tf.random.stateless_uniform` and the like.
    """
    folded = tf.constant([seed, 0], tf.int32)
    for number in numbers:
        folded = tf.random.fold_in(
            folded, tf.cast(number, tf.int32), alg="philox"
        )
    return folded
