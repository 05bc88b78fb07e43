"""Order of an epoch's examples, a function of seed and epoch alone."""

import tensorflow as tf

from tf_finetune.data import shards

# Number of this stream of random draws; 1 to 5 are those of the batches.
_ORDER_STREAM = 0


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
    # Sorting random keys draws a permutation. The counter-based philox gives
    # the same numbers on every device; `stable` settles equal keys.
    keys = tf.random.stateless_uniform(
        (count,),
        seed=fold_seed(seed, _ORDER_STREAM, epoch),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )
    order = tf.cast(tf.argsort(keys, stable=True), tf.int64)
    return tf.pad(order, [[0, padded_count - count]], constant_values=-1)


def take_shard(
    order: tf.Tensor, batch_size: int, part: shards.Shard
) -> tf.Tensor:
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
