"""Reading of numbers from picture headers, as TensorFlow operations.

Nothing here raises, whatever the bytes are.
"""

import numpy as np
import tensorflow as tf


def read_first_bytes(contents: tf.Tensor, count: int) -> tf.Tensor:
    """Returns the first bytes of a file as numbers; zeros past its end.

    Args:
        contents: Scalar string, the bytes of the file.
        count: Number of bytes.

    Returns:
        int64 [count], 0..255.
    """
    start = tf.io.decode_raw(tf.strings.substr(contents, 0, count), tf.uint8)
    return take_bytes(start, 0, count)


def take_bytes(
    data: tf.Tensor, position: tf.Tensor | int, count: int
) -> tf.Tensor:
    """Returns `count` bytes from a position on; zeros past the end.

    Args:
        data: uint8 or int64 [n].
        position: Index of the first byte, from 0.
        count: Number of bytes.

    Returns:
        int64 [count], 0..255.
    """
    found = data[position : position + count]
    # Slices never raise; they come out short.
    padded = tf.pad(found, [[0, count - tf.size(found)]])
    return tf.cast(tf.ensure_shape(padded, (count,)), tf.int64)


def read_number(values: tf.Tensor, *, big: tf.Tensor | bool) -> tf.Tensor:
    """Returns the unsigned numbers that groups of bytes encode.

    Args:
        values: int64 [..., n], 0..255: n bytes of each number.
        big: Whether they are big-endian: the first byte counts most.

    Returns:
        int64 [...].
    """
    # Sum of byte k times 256 ** k, little-endian; reversed if big-endian.
    weights = 256 ** np.arange(values.shape[-1], dtype=np.int64)
    weights = tf.where(big, weights[::-1].copy(), weights)
    return tf.reduce_sum(values * weights, axis=-1)


def begins_with(data: tf.Tensor, expected: bytes) -> tf.Tensor:
    """Tells if bytes begin with a pattern, in which "." matches any byte.

    Args:
        data: uint8 or int64 [n].
        expected: The pattern, of at least one byte.

    Returns:
        Scalar bool.
    """
    start = take_bytes(data, 0, len(expected))
    wanted = tf.constant(list(expected), tf.int64)
    return tf.reduce_all((start == wanted) | (wanted == ord(".")))
