"""Decoding of PNG and WebP files, with transparency.

TensorFlow graph operations only, as in `decoding`. TensorFlow cuts off the
alpha of a PNG when it is asked for three channels, and refuses that of a WebP.
"""

import tensorflow as tf

from tf_finetune.config import model_options
from tf_finetune.data.images import alpha, header_numbers

# Where a PNG says how many bits a sample has, and what its channels are.
_DEPTH, _COLOR_TYPE = 24, 25
_TYPES_WITH_ALPHA = (4, 6)

# A color, or entries of the palette, that are transparent. The four letters
# may stand elsewhere; then the picture is laid on the background opaque, which
# changes nothing.
_TRNS_PATTERN = r"\C*tRNS\C*"

# Where a WebP says which features it has, and the bit of an animation.
_WEBP_FLAGS, _ANIMATION = 20, 2


def decode_png(
    contents: tf.Tensor, pixels: model_options.PixelOptions
) -> tf.Tensor:
    """Decodes a PNG; the first picture of an animated one.

    Args:
        contents: Scalar string that begins as a PNG.
        pixels: What becomes of transparency and of 16 bits. Without bounds
            the upper byte of 16 bits is taken.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: When it runs: it is damaged.
    """
    head = header_numbers.read_first_bytes(contents, _COLOR_TYPE + 1)
    is_transparent = tf.reduce_any(
        head[_COLOR_TYPE] == tf.constant(_TYPES_WITH_ALPHA, tf.int64)
    ) | tf.strings.regex_full_match(contents, _TRNS_PATTERN)

    def in_bytes() -> tf.Tensor:
        return tf.cond(
            is_transparent,
            lambda: alpha.composite(
                tf.io.decode_png(contents, channels=4), pixels.background
            ),
            lambda: tf.io.decode_png(contents, channels=3),
        )

    if not pixels.bounds:
        return in_bytes()
    return tf.cond(
        head[_DEPTH] == 16,
        lambda: alpha.composite_16_bits(
            tf.io.decode_png(contents, channels=4, dtype=tf.uint16),
            pixels.background,
            pixels.bounds,
        ),
        in_bytes,
    )


def decode_webp(
    contents: tf.Tensor, background: model_options.Background
) -> tf.Tensor:
    """Decodes a still WebP, lossy or lossless.

    Args:
        contents: Scalar string that begins as a WebP.
        background: What lies under transparent pixels.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: When it runs: it is animated, or
            damaged.
    """
    head = header_numbers.read_first_bytes(contents, _WEBP_FLAGS + 1)
    flags = tf.where(
        header_numbers.begins_with(head[12:], b"VP8X"), head[_WEBP_FLAGS], 0
    )
    is_still = flags // _ANIMATION % 2 == 0
    # TensorFlow 2.21 corrupts memory when it finds out the number of channels
    # of an animated one itself.
    check = tf.debugging.Assert(is_still, ["WebP Animation"])
    with tf.control_dependencies([check]):
        pixels = tf.io.decode_image(
            contents, channels=0, expand_animations=False
        )
    pixels = tf.ensure_shape(pixels, (None, None, None))
    return alpha.composite_if_transparent(pixels, background)
