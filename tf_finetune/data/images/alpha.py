"""Compositing of transparent pictures on a background.

TensorFlow graph operations only, as in `decoding`.

Source: Porter and Duff 1984, "Compositing Digital Images": over.
"""

import tensorflow as tf

from tf_finetune.config import model_options

BACKGROUND_VALUES = {"white": 255, "black": 0, "gray": 128}
"""By background: its red, green and blue."""


def composite(
    pixels: tf.Tensor, background: model_options.Background
) -> tf.Tensor:
    """Composites a picture over a background.

    Args:
        pixels: uint8 [height, width, 4]: red, green, blue, alpha; what is
            opaque keeps its bytes.
        background: What lies under it.

    Returns:
        uint8 [height, width, 3], the nearest to a c + (1 - a) b.
    """
    colors = tf.cast(pixels[..., :3], tf.uint16)
    alpha = tf.cast(pixels[..., 3:4], tf.uint16)
    shade = tf.constant(BACKGROUND_VALUES[background], tf.uint16)
    # round(x / 255) = (x + 128 + ((x + 128) >> 8)) >> 8, exact for all x up to
    # 255 * 255 and within 16 bits.
    rest = tf.constant(255, tf.uint16) - alpha
    summed = colors * alpha + rest * shade + tf.constant(128, tf.uint16)
    eight = tf.constant(8, tf.uint16)
    carry = tf.bitwise.right_shift(summed, eight)
    return tf.cast(tf.bitwise.right_shift(summed + carry, eight), tf.uint8)


def composite_if_transparent(
    pixels: tf.Tensor, background: model_options.Background
) -> tf.Tensor:
    """Composites a picture over a background if it has an alpha channel.

    Args:
        pixels: uint8 [height, width, channels], of a shape that may be known
            only when it runs.
        background: What lies under it.

    Returns:
        uint8 [height, width, 3].
    """
    return tf.cond(
        tf.shape(pixels)[-1] == 4,
        lambda: composite(pixels, background),
        lambda: pixels[..., :3],
    )


def composite_16_bits(
    pixels: tf.Tensor,
    background: model_options.Background,
    bounds: tuple[int, ...],
) -> tf.Tensor:
    """Scales 16-bit values to bytes and composites them over a background.

    Args:
        pixels: uint16 [height, width, 4]: red, green, blue, alpha.
        background: What lies under it.
        bounds: The values that become 0 and 255; those beyond are cut off.

    Returns:
        uint8 [height, width, 3].
    """
    low, high = bounds
    colors = tf.cast(pixels[..., :3], tf.float32)
    alpha = (
        tf.cast(pixels[..., 3:4], tf.float32) / model_options.MAX_PIXEL_VALUE
    )
    colors = tf.clip_by_value((colors - low) / (high - low), 0.0, 1.0) * 255.0
    # Porter and Duff's over, on an opaque background: a c + (1 - a) b.
    mixed = alpha * colors + (1.0 - alpha) * BACKGROUND_VALUES[background]
    return tf.cast(tf.round(mixed), tf.uint8)
