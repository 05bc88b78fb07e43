"""Decoding of PNG, WebP and BMP files, with transparency.

TensorFlow graph operations only, as in `decoding`. TensorFlow cuts off the
alpha of a PNG when it is asked for three channels, refuses that of a WebP, and
`tf.io.decode_image` refuses many kinds of BMP.
"""

import tensorflow as tf

from tf_finetune.config import picture_options
from tf_finetune.data.images import header_numbers

# Where a PNG says how many bits a sample has, and what its channels are.
_DEPTH, _COLOR_TYPE = 24, 25
_TYPES_WITH_ALPHA = (4, 6)

# A color, or entries of the palette, that are transparent. The four letters
# may stand elsewhere; then the picture is laid on the background opaque, which
# changes nothing.
_TRNS_PATTERN = r"\C*tRNS\C*"

# Where a WebP says which features it has, and the bit of an animation.
_WEBP_FLAGS, _ANIMATION = 20, 2

_BITFIELDS = 3  # 32 bits, with masks that say where each channel is.
_RGB_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF)
_ALPHA_MASK = 0xFF000000

BACKGROUND_VALUES = {"white": 255, "black": 0, "gray": 128}
"""By background: its red, green and blue."""


class _Header:
    """The fields of a BMP file's header, as scalar tensors.

    Source: Microsoft, "BITMAPFILEHEADER" and "BITMAPV4HEADER".
    """

    def __init__(self, contents: tf.Tensor) -> None:
        head = header_numbers.read_first_bytes(contents, 70)

        def number(position: int, count: int) -> tf.Tensor:
            return header_numbers.read_number(
                head[position : position + count], big=False
            )

        # The file header takes 14 bytes, with the offset of the pixels at 10;
        # then comes the info header.
        self.offset = number(10, 4)
        self.width = number(18, 4)
        height = number(22, 4)
        # Negative where the first row is the uppermost one.
        self.height = tf.minimum(height, 2**32 - height)
        self.header_bytes = number(14, 4)
        self.bits = number(28, 2)
        self.compression = number(30, 4)
        self.num_colors = number(46, 4)
        self.masks = tf.stack([number(54 + 4 * i, 4) for i in range(3)])
        # Headers of less than 56 bytes end before the mask of alpha.
        self.has_alpha = (
            (self.compression == _BITFIELDS)
            & (self.bits == 32)
            & (self.header_bytes >= 56)
            & (number(66, 4) == _ALPHA_MASK)
        )


def decode_png(
    contents: tf.Tensor, pixels: picture_options.PixelOptions
) -> tf.Tensor:
    """Decodes a PNG; of an animated one the first picture.

    Args:
        contents: Scalar string that begins as a PNG.
        pixels: Background of transparent pixels, and range of 16-bit values;
            without a range the upper byte of 16 bits is taken.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: At execution: the file is damaged.
    """
    head = header_numbers.read_first_bytes(contents, _COLOR_TYPE + 1)
    is_transparent = tf.reduce_any(
        head[_COLOR_TYPE] == tf.constant(_TYPES_WITH_ALPHA, tf.int64)
    ) | tf.strings.regex_full_match(contents, _TRNS_PATTERN)

    def in_bytes() -> tf.Tensor:
        return tf.cond(
            is_transparent,
            lambda: composite(
                tf.io.decode_png(contents, channels=4), pixels.background
            ),
            lambda: tf.io.decode_png(contents, channels=3),
        )

    if not pixels.bounds:
        return in_bytes()
    return tf.cond(
        head[_DEPTH] == 16,
        lambda: composite_16_bits(
            tf.io.decode_png(contents, channels=4, dtype=tf.uint16),
            pixels.background,
            pixels.bounds,
        ),
        in_bytes,
    )


def decode_webp(
    contents: tf.Tensor, background: picture_options.Background
) -> tf.Tensor:
    """Decodes a still WebP, lossy or lossless.

    Args:
        contents: Scalar string that begins as a WebP.
        background: Color under transparent pixels.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: At execution: the file is animated or
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
    return composite_if_transparent(pixels, background)


def decode_bmp(
    contents: tf.Tensor, *, background: picture_options.Background
) -> tf.Tensor:
    """Decodes a BMP of 8, 24 or 32 bits.

    Args:
        contents: Scalar string that begins with "BM".
        background: Color under transparent pixels.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: At execution: a BMP of another kind,
            or a damaged one.
    """
    head = _Header(contents)
    return tf.cond(
        head.bits == 8,
        lambda: _decode_palette(contents, head),
        lambda: _decode_colors(contents, head, background),
    )


def composite(
    pixels: tf.Tensor, background: picture_options.Background
) -> tf.Tensor:
    """Composites a picture over a background of one color.

    Args:
        pixels: uint8 [height, width, 4]: red, green, blue, alpha.
        background: The color.

    Returns:
        uint8 [height, width, 3], a c + (1 - a) b rounded to the nearest;
        opaque pixels keep their bytes.
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
    pixels: tf.Tensor, background: picture_options.Background
) -> tf.Tensor:
    """Composites a picture over a background if it has an alpha channel.

    Args:
        pixels: uint8 [height, width, 3 or 4]; the static shape may be unknown.
        background: Color under transparent pixels.

    Returns:
        uint8 [height, width, 3]; without an alpha channel the same pixels.
    """
    return tf.cond(
        tf.shape(pixels)[-1] == 4,
        lambda: composite(pixels, background),
        lambda: pixels[..., :3],
    )


def composite_16_bits(
    pixels: tf.Tensor,
    background: picture_options.Background,
    bounds: tuple[int, ...],
) -> tf.Tensor:
    """Scales 16-bit values to bytes and composites them over a background.

    Args:
        pixels: uint16 [height, width, 4]: red, green, blue, alpha.
        background: Color under transparent pixels.
        bounds: The two values that become 0 and 255; colors are clipped.

    Returns:
        uint8 [height, width, 3].
    """
    low, high = bounds
    colors = tf.cast(pixels[..., :3], tf.float32)
    alpha = (
        tf.cast(pixels[..., 3:4], tf.float32) / picture_options.MAX_PIXEL_VALUE
    )
    colors = tf.clip_by_value((colors - low) / (high - low), 0.0, 1.0) * 255.0
    # Porter and Duff's over, on an opaque background: a c + (1 - a) b.
    mixed = alpha * colors + (1.0 - alpha) * BACKGROUND_VALUES[background]
    return tf.cast(tf.round(mixed), tf.uint8)


def _decode_colors(
    contents: tf.Tensor, head: _Header, background: picture_options.Background
) -> tf.Tensor:
    """Decodes a BMP of 24 or 32 bits; TensorFlow refuses all others."""
    usual_masks = tf.reduce_all(head.masks == tf.constant(_RGB_MASKS, tf.int64))
    readable = (head.compression == 0) | (
        (head.compression == _BITFIELDS) & (head.bits == 32) & usual_masks
    )
    with tf.control_dependencies([_check_readable(readable, head)]):
        pixels = tf.io.decode_bmp(_cut_tail(contents, head))
    # Programs that know no transparency leave zeros; browsers show the colors.
    return tf.cond(
        head.has_alpha & tf.reduce_any(pixels[..., 3:] > 0),
        lambda: composite(pixels, background),
        lambda: pixels[..., :3],
    )


def _decode_palette(contents: tf.Tensor, head: _Header) -> tf.Tensor:
    """Decodes a BMP of 8 bits, whose pixels are rows of a color table."""
    with tf.control_dependencies(
        [_check_readable(head.compression == 0, head)]
    ):
        rows = tf.io.decode_bmp(_cut_tail(contents, head))
    rows = tf.ensure_shape(rows, (None, None, 1))[..., 0]
    # 0 stands for all 2^8 colors.
    count = tf.where(
        head.num_colors == 0, tf.constant(256, tf.int64), head.num_colors
    )
    # The file header has 14 bytes; the color table follows both.
    begin = 14 + head.header_bytes
    data = tf.io.decode_raw(contents, tf.uint8)
    table = data[begin : begin + 4 * tf.minimum(count, 256)]
    # A pixel beyond the end of the table is black.
    table = tf.pad(table, [[0, 4 * 256 - tf.size(table)]])
    # Entries are blue, green, red and a reserved byte.
    colors = tf.reshape(table, (256, 4))[:, 2::-1]
    return tf.gather(colors, tf.cast(rows, tf.int32))


def _cut_tail(contents: tf.Tensor, head: _Header) -> tf.Tensor:
    """Cuts off the bytes after the pixels; Photoshop appends two."""
    # Rows are padded to multiples of 32 bits.
    row_bytes = (head.width * head.bits + 31) // 32 * 4
    size = head.offset + row_bytes * head.height
    begin = tf.zeros_like(size)
    return tf.strings.substr(contents, begin, tf.maximum(size, begin))


def _check_readable(readable: tf.Tensor, head: _Header) -> tf.Operation:
    return tf.debugging.Assert(
        # BITMAPINFOHEADER has 40 bytes; the shorter one of OS/2 has other
        # fields.
        readable & (head.header_bytes >= 40),
        ["BMP of a kind that is not decoded; bits:", head.bits],
    )
