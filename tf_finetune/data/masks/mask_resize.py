"""Masks resized to the model's input, and predictions resized back.

Whatever `decoding.load_bytes` does to a picture is done here to its mask, by
the nearest pixel, and undone for probabilities, bilinearly.
"""

import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options
from tf_finetune.data.masks import mask_files


def load_mask(
    path: tf.Tensor, *, image_size: int, resize: picture_options.Resize
) -> tf.Tensor:
    """Reads a mask that `prepare_masks` wrote and makes it square.

    Args:
        path: Scalar string.
        image_size: Side of the square in pixels.
        resize: "squash" ignores the mask's shape, "crop" keeps the largest
            square in its middle, "pad" adds pixels that are ignored.

    Returns:
        uint8 [image_size, image_size] class indices; 255: ignored.
    """
    # Gray PNGs of one byte a pixel: bytes are class indices.
    indices = tf.io.decode_png(tf.io.read_file(path), channels=1)[..., 0]
    return resize_mask(indices, image_size=image_size, resize=resize)


def resize_mask(
    mask: tf.Tensor, *, image_size: int, resize: picture_options.Resize
) -> tf.Tensor:
    """Makes a mask square, by the nearest pixel.

    Args:
        mask: uint8 [height, width] class indices.
        image_size: Side of the square in pixels.
        resize: "squash" ignores the mask's shape, "crop" keeps the largest
            square in its middle, "pad" adds pixels that are ignored (255).

    Returns:
        uint8 [image_size, image_size].
    """
    height, width = tf.unstack(tf.shape(mask))
    if resize == "crop":
        side = tf.minimum(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        mask = mask[top : top + side, left : left + side]
    if resize == "pad":
        size, before = _fit_inside(height, width, image_size)
        after = image_size - size - before
        square = tf.pad(
            _resize_nearest(mask, size[0], size[1]),
            [[before[0], after[0]], [before[1], after[1]]],
            constant_values=mask_files.IGNORED_INDEX,
        )
    else:
        square = _resize_nearest(mask, image_size, image_size)
    return tf.ensure_shape(square, (image_size, image_size))


def restore_size(
    probabilities: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    *,
    resize: picture_options.Resize,
) -> tf.Tensor:
    """Resizes the probabilities of a square to the picture's own size.

    Args:
        probabilities: float32 [size, size, classes].
        height: Height of the picture in pixels, scalar int32.
        width: Width of the picture in pixels, scalar int32.
        resize: How the picture became square. Pixels that "crop" cut off get
            the values of the nearest pixel that is left.

    Returns:
        float32 [height, width, classes], interpolated bilinearly.
    """
    if resize == "crop":
        side = tf.minimum(height, width)
        middle = _resize_bilinear(probabilities, side, side)
        # Beyond the crop the nearest row and column are repeated.
        rows = _clip_indices(height, side)
        return tf.gather(
            tf.gather(middle, rows), _clip_indices(width, side), axis=1
        )
    if resize == "pad":
        size, before = _fit_inside(height, width, probabilities.shape[0])
        after = before + size
        probabilities = probabilities[
            before[0] : after[0], before[1] : after[1]
        ]
    return _resize_bilinear(probabilities, height, width)


def compute_class_map(
    probabilities: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    *,
    resize: picture_options.Resize,
) -> tf.Tensor:
    """Returns the most probable class of each pixel at the picture's own size.

    The probabilities are resized as by `restore_size`, one class after the
    other, so that memory does not grow with the number of classes. Graph
    operations only.

    Args:
        probabilities: float32 [size, size, classes].
        height: Height of the picture in pixels, scalar int32.
        width: Width of the picture in pixels, scalar int32.
        resize: How the picture became square.

    Returns:
        uint8 [height, width]; of equally probable classes the first.
    """

    def plane(number: tf.Tensor | int) -> tf.Tensor:
        one = probabilities[..., number, tf.newaxis]
        return restore_size(one, height, width, resize=resize)[..., 0]

    def better(
        number: tf.Tensor, best: tf.Tensor, mask: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        found = plane(number)
        label = tf.cast(number, tf.uint8)
        # Strictly greater: of equal classes the first stays, as argmax has it.
        mask = tf.where(found > best, label, mask)
        return number + 1, tf.maximum(found, best), mask

    first = plane(0)
    return tf.while_loop(
        lambda number, *_: number < probabilities.shape[-1],
        better,
        (tf.constant(1), first, tf.zeros(tf.shape(first), tf.uint8)),
        # One plane at a time in memory.
        parallel_iterations=1,
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None]),
            tf.TensorShape([None, None]),
        ),
    )[-1]


def compute_class_map_on_cpu(
    probabilities: np.ndarray,
    height: int,
    width: int,
    *,
    resize: picture_options.Resize,
) -> np.ndarray:
    """Returns the most probable class of each pixel at the picture's own size.

    Unlike `compute_class_map`, it takes and returns NumPy arrays and resizes
    all classes at once, in the memory of the CPU.

    Args:
        probabilities: float32 [size, size, classes].
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        resize: How the picture became square.

    Returns:
        uint8 [height, width]; of equally probable classes the first.
    """
    # Keeps full-size probabilities of all classes out of a GPU's memory.
    with tf.device("CPU"):
        own = restore_size(
            tf.constant(probabilities),
            tf.constant(height),
            tf.constant(width),
            resize=resize,
        )
        return tf.cast(tf.argmax(own, -1, tf.int32), tf.uint8).numpy()


def _fit_inside(
    height: tf.Tensor, width: tf.Tensor, image_size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the size of a padded picture and the pixels before it, [2]."""
    sides = tf.cast(tf.stack([height, width]), tf.float32)
    # As `decoding` pads the picture: the longer side fills the square.
    scaled = tf.round(sides * image_size / tf.reduce_max(sides))
    size = tf.maximum(tf.cast(scaled, tf.int32), 1)
    return size, (image_size - size) // 2


def _resize_nearest(
    mask: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int
) -> tf.Tensor:
    """Resizes by the pixel below the center of each new one, as Pillow does."""
    rows = _find_nearest_indices(height, tf.shape(mask)[0])
    columns = _find_nearest_indices(width, tf.shape(mask)[1])
    return tf.gather(tf.gather(mask, rows), columns, axis=1)


def _find_nearest_indices(count: tf.Tensor | int, side: tf.Tensor) -> tf.Tensor:
    places = tf.range(tf.cast(count, tf.int64))
    count, side = tf.cast(count, tf.int64), tf.cast(side, tf.int64)
    # floor((i + 1/2) side / count) in whole numbers, in int64: no rounding.
    return (2 * places + 1) * side // (2 * count)


def _clip_indices(length: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Returns the index of the nearest kept pixel for each one of a side."""
    return tf.clip_by_value(
        tf.range(length) - (length - side) // 2, 0, side - 1
    )


def _resize_bilinear(
    values: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    return tf.image.resize(values, tf.stack([height, width]))
