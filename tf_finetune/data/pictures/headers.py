"""Numbers in the headers of encoded pictures, as TensorFlow operations.

Nothing here raises, whatever the bytes are.
"""

import numpy as np
import tensorflow as tf


def first_bytes(contents: tf.Tensor, count: int) -> tf.Tensor:
    """Returns the first bytes as int64 [count], zeros beyond the end.

    Args:
        contents: Scalar string.
        count: How many.
    """
    start = tf.io.decode_raw(tf.strings.substr(contents, 0, count), tf.uint8)
    return take(start, 0, count)


def take(data: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
    """Returns int64 [count] from a position on; zeros beyond the end.

    Args:
        data: uint8 [n].
        position: Of the first one.
        count: How many.
    """
    found = data[position : position + count]
    padded = tf.pad(found, [[0, count - tf.size(found)]])
    return tf.cast(tf.ensure_shape(padded, (count,)), tf.int64)


def number(values: tf.Tensor, *, big: tf.Tensor | bool) -> tf.Tensor:
    """Returns [..., n] bytes as whole numbers [...], int64.

    Args:
        values: int64.
        big: Whether the first byte counts most.
    """
    weights = 256 ** np.arange(values.shape[-1], dtype=np.int64)
    weights = tf.where(big, weights[::-1].copy(), weights)
    return tf.reduce_sum(values * weights, axis=-1)


def begins(data: tf.Tensor, expected: bytes) -> tf.Tensor:
    """Tells if bytes begin as expected, where a full stop stands for any.

    Args:
        data: uint8 or int64 [n].
        expected: One or more bytes.
    """
    start = take(data, 0, len(expected))
    wanted = tf.constant(list(expected), tf.int64)
    return tf.reduce_all((start == wanted) | (wanted == ord(".")))
