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


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchOrder:
    """Order of the training batches of several epochs, and where they begin.

    Batches are numbered through all epochs: batch `number` is step `number` %
    steps of epoch `number` // steps.

    Attributes:
        batch_size: Examples per batch; an epoch's last batch may hold fewer.
        seed: Seed of the run, of every random draw.
        epochs: Number of the epoch after the last one.
        first_epoch: Number of the first epoch, from 0.
        first_step: Number of batches of the first epoch that are skipped,
            without being read.
        part: Replicas whose share of each batch is read; by default all.
    """

    batch_size: int
    seed: int
    epochs: int
    first_epoch: int = 0
    first_step: int = 0
    part: Shard = WHOLE

    def start_at(self, epoch: int, step: int) -> "BatchOrder":
        """Returns the same order from a step of an epoch on, both from 0."""
        return dataclasses.replace(self, first_epoch=epoch, first_step=step)

    def count_steps(self, count: int) -> int:
        """Counts the batches of an epoch of `count` examples."""
        return -(-count // self.batch_size)  # Rounded up.

    def count_batches(self, count: int) -> int:
        """Counts the batches that `build_places` returns."""
        whole = (self.epochs - self.first_epoch) * self.count_steps(count)
        return max(whole - self.first_step, 0)

    def compute_size(self, count: int, number: tf.Tensor) -> tf.Tensor:
        """Computes how many examples the whole batch `number` holds, int64."""
        # Only the last batch of an epoch is smaller.
        rest = count - number % self.count_steps(count) * self.batch_size
        return tf.minimum(rest, self.batch_size)

    def draw_epoch(self, count: int, epoch: tf.Tensor | int) -> tf.Tensor:
        """Draws the examples of each whole batch of an epoch.

        Args:
            count: Number of examples.
            epoch: Scalar integer, from 0.

        Returns:
            int64 [steps, batch_size]: numbers 0 .. count - 1 of examples; the
            last batch is padded with -1.
        """
        order = draw_permutation(count, self.seed, _ORDER_STREAM, epoch)
        # Whole batches, so that no batch crosses the end of an epoch.
        padding = [[0, self.count_steps(count) * self.batch_size - count]]
        order = tf.pad(order, padding, constant_values=-1)
        return tf.reshape(order, [-1, self.batch_size])

    def build_places(self, count: int) -> tf.data.Dataset:
        """Builds the examples of each batch, drawn when an epoch begins.

        Args:
            count: Number of examples.

        Returns:
            Dataset of (numbers of the examples of the replicas' share, int64
            [part.max_size(batch_size)], padded with -1 at the end; number of
            the batch, int64).
        """
        steps = self.count_steps(count)

        def draw_shares(epoch: tf.Tensor) -> tf.data.Dataset:
            places = self.draw_epoch(count, epoch)
            if not self.part.is_all:
                places = take_shard(places, self.part)
            numbers = epoch * steps + tf.range(steps, dtype=tf.int64)
            # A resumed run begins inside its first epoch.
            begun = tf.where(epoch == self.first_epoch, self.first_step, 0)
            return tf.data.Dataset.from_tensor_slices(
                (places[begun:], numbers[begun:])
            )

        epochs = tf.data.Dataset.range(self.first_epoch, self.epochs)
        return epochs.flat_map(draw_shares)

    def build_examples(self, count: int) -> tf.data.Dataset:
        """Builds the examples of `build_places` one by one.

        Args:
            count: Number of examples.

        Returns:
            Dataset of (number of the example or -1, number of its batch), int64
            scalars; as many of each batch.
        """
        return self.build_places(count).flat_map(
            lambda places, number: tf.data.Dataset.from_tensor_slices(
                (places, tf.fill(tf.shape(places), number))
            )
        )


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


def take_shard(batches: tf.Tensor, part: Shard) -> tf.Tensor:
    """Selects the share of some replicas from each batch.

    Args:
        batches: int64 [steps, batch_size], numbers of examples, padded with -1
            at the end, as `BatchOrder.draw_epoch` returns them.
        part: The replicas.

    Returns:
        int64 [steps, part.max_size(batch_size)]: the share of each batch,
        padded with -1 to the same length.
    """
    width = part.max_size(batches.shape[1])

    def take_part(places: tf.Tensor) -> tf.Tensor:
        low, high = part.compute_bounds(tf.math.count_nonzero(places >= 0))
        found = places[low:high]
        padding = [[0, width - tf.shape(found)[0]]]
        return tf.pad(found, padding, constant_values=-1)

    # The loop hides the length of a row.
    return tf.ensure_shape(tf.map_fn(take_part, batches), [None, width])


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
