"""Images of any shape made square, as TensorFlow graph operations."""

import tensorflow as tf

from tf_finetune.config import picture_options


def make_square(
    image: tf.Tensor, image_size: int, resize: picture_options.Resize
) -> tf.Tensor:
    """Resizes an image to a square, with antialiasing.

    Args:
        image: uint8 [height, width, 3].
        image_size: Side of the square in pixels.
        resize: "squash" ignores the image's shape, "crop" keeps the largest
            square in its middle, "pad" adds black around it.

    Returns:
        float32 [image_size, image_size, 3], 0..255.
    """
    if resize == "crop":
        image = _crop_middle(image)
    if resize == "pad":
        square = _pad_to_square(image, image_size)
    else:
        square = _resize(image, (image_size, image_size))
    # Sums of interpolation weights differ from 1 in the last digits.
    square = tf.clip_by_value(square, 0.0, 255.0)
    return tf.ensure_shape(square, (image_size, image_size, 3))


def _resize(image: tf.Tensor, size: tuple[int, int] | tf.Tensor) -> tf.Tensor:
    """Resizes like `tf.image.resize(…, antialias=True)`, bit for bit.

    TensorFlow's kernel adds rows as whole vectors, but columns pixel by pixel:
    resizing rows, then those of the transposed picture, takes 0.7 ms for
    384 x 288 to 224 instead of 1.4.
    """
    rows = _resize_rows(image, size[0])
    columns = _resize_rows(tf.transpose(rows, (1, 0, 2)), size[1])
    return tf.transpose(columns, (1, 0, 2))


def _resize_rows(image: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Returns float32 [count, width, 3] of [height, width, 3]."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    scale = tf.cast(count, tf.float32) / tf.cast(height, tf.float32)
    resized = tf.raw_ops.ScaleAndTranslate(
        # A row is one pixel of many channels.
        images=tf.reshape(image, (1, height, 1, 3 * width)),
        size=tf.stack([count, 1]),
        scale=tf.stack([scale, 1.0]),
        translation=(0.0, 0.0),
        kernel_type="triangle",
        antialias=True,
    )
    return tf.reshape(resized, (count, width, 3))


def _crop_middle(image: tf.Tensor) -> tf.Tensor:
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _pad_to_square(image: tf.Tensor, image_size: int) -> tf.Tensor:
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    scaled = tf.round(sides * image_size / tf.reduce_max(sides))
    # A very long picture would get a side of 0 pixels.
    size = tf.maximum(tf.cast(scaled, tf.int32), 1)
    before = (image_size - size) // 2
    after = image_size - size - before
    return tf.pad(
        _resize(image, size),
        [[before[0], after[0]], [before[1], after[1]], [0, 0]],
    )
