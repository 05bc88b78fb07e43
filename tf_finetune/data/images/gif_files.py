"""Decoding of the first frame of GIF files, at its place on the screen.

TensorFlow graph operations only, as in `decoding`. TensorFlow makes
transparent pixels black, and takes the largest frame for the screen.

Source: CompuServe 1990, "Graphics Interchange Format, Version 89a".
"""

import dataclasses

import tensorflow as tf

from tf_finetune.config import picture_options
from tf_finetune.data.images import header_numbers, png_webp_bmp_files

# Extension introducer, image separator (section 20), graphic control label
# (section 23).
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9
_WHITE = b"\xff" * 768  # The largest table.
_MAX_BLOCKS = 10_000
_MAX_PIXELS = 178_956_970  # Of a screen, as --max_pixels.


def decode_gif(
    contents: tf.Tensor, background: picture_options.Background
) -> tf.Tensor:
    """Decodes the first frame of a GIF, at its place on the GIF's screen.

    Args:
        contents: Scalar string that begins with "GIF".
        background: Color under transparent pixels, and beside a frame that is
            smaller than the screen.

    Returns:
        uint8 [height, width, 3] of the whole screen.

    Raises:
        tf.errors.InvalidArgumentError: At execution: the file is damaged or
            too large.
    """
    frame = _read_first_frame(contents)
    # Moved into the corner: what lies further right would be cut off.
    contents = _replace_bytes(contents, frame.begin + 1, b"\0\0\0\0")

    def decode_frame(file: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_image(file, channels=3, expand_animations=False)
        pixels = tf.ensure_shape(pixels, (None, None, 3))
        return pixels[: frame.size[0], : frame.size[1]]

    def on_background() -> tf.Tensor:
        none = tf.zeros_like(frame.table_bytes)
        # All colors made white, only what is transparent stays black.
        white = tf.strings.substr(_WHITE, none, frame.table_bytes)
        opaque = decode_frame(_replace_bytes(contents, frame.table, white))
        colors = decode_frame(contents)
        pixels = tf.concat([colors, opaque[..., :1]], axis=-1)
        return png_webp_bmp_files.composite(pixels, background)

    pixels = tf.cond(
        frame.is_transparent, on_background, lambda: decode_frame(contents)
    )
    return _place_on_screen(
        pixels, frame, png_webp_bmp_files.BACKGROUND_VALUES[background]
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Frame:
    """Position of the first frame; int64 scalars, but for the flag.

    Attributes:
        begin: Of its descriptor; the end of the file if there is none.
        corner: Of the frame on the screen, [2]: top, left.
        size: Of the frame, [2]: height, width.
        screen: Height and width of the screen, [2], at least what the frame
            covers.
        table: Where its colors begin.
        table_bytes: Their length.
        is_transparent: Whether one of its colors is none.
    """

    begin: tf.Tensor
    corner: tf.Tensor
    size: tf.Tensor
    screen: tf.Tensor
    table: tf.Tensor
    table_bytes: tf.Tensor
    is_transparent: tf.Tensor


def _read_first_frame(contents: tf.Tensor) -> _Frame:
    data = tf.io.decode_raw(contents, tf.uint8)
    # Signature of 6 bytes, logical screen descriptor of 7.
    head = header_numbers.take_bytes(data, 0, 13)
    # The packed fields of the screen descriptor (section 18).
    shared = _measure_table(head[10])
    begin, is_transparent = _find_image(data, 13 + shared)
    # Image descriptor (section 20): separator, left, top, width, height, flags.
    descriptor = header_numbers.take_bytes(data, begin, 10)
    own = _measure_table(descriptor[9])
    corner, size, screen = (
        tf.stack([_read_number(each, 2), _read_number(each, 0)])
        for each in (descriptor[1:5], descriptor[5:9], head[6:10])
    )
    return _Frame(
        begin=begin,
        corner=corner,
        size=size,
        # A frame may reach beyond the screen that the header declares.
        screen=tf.maximum(screen, corner + size),
        # A table of the frame's own goes before the global one (section 21).
        table=tf.where(own > 0, begin + 10, 13),
        table_bytes=tf.where(own > 0, own, shared),
        is_transparent=is_transparent,
    )


def _find_image(
    data: tf.Tensor, start: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the start of the first image, and if it is transparent."""
    size = tf.size(data, out_type=tf.int64)

    def body(
        position: tf.Tensor,
        is_inside: tf.Tensor,
        is_transparent: tf.Tensor,
        is_over: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        del is_over
        head = header_numbers.take_bytes(data, position, 4)
        is_extension = ~is_inside & (head[0] == _EXTENSION)
        is_control = is_extension & (head[1] == _CONTROL)
        is_over = ~is_inside & ~is_extension
        # Inside of an extension, blocks of a length each, until one of none.
        following = tf.where(is_inside, 1 + head[0], 2)
        return (
            position + tf.where(is_over, tf.zeros_like(following), following),
            is_extension | (is_inside & (head[0] > 0)),
            # Byte 3 of a control extension holds the transparency flag in bit
            # 0.
            is_transparent | (is_control & (head[3] % 2 == 1)),
            is_over,
        )

    none = tf.constant(False)
    position, _, is_transparent, _ = tf.while_loop(
        lambda position, inside, transparent, over: (position < size) & ~over,
        body,
        (start, none, none, none),
        maximum_iterations=_MAX_BLOCKS,
    )
    is_found = header_numbers.take_bytes(data, position, 1)[0] == _IMAGE
    return tf.where(is_found, position, size), is_transparent


def _measure_table(flags: tf.Tensor) -> tf.Tensor:
    """Returns the length of a color table, 0 where there is none."""
    # 3 * 2 ** (N + 1) bytes, N in the lowest three bits; the highest bit says
    # that there is a table.
    length = 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8)
    return tf.where(flags >= 128, length, tf.zeros_like(length))


def _read_number(values: tf.Tensor, position: int) -> tf.Tensor:
    return header_numbers.read_number(
        values[position : position + 2], big=False
    )


def _replace_bytes(
    contents: tf.Tensor, position: tf.Tensor, replacement: tf.Tensor | bytes
) -> tf.Tensor:
    """Replaces bytes of a file from a position on, if the file is that long."""
    length = tf.cast(tf.strings.length(contents), tf.int64)
    count = tf.cast(tf.strings.length(replacement), tf.int64)
    zero, behind = tf.zeros_like(position), position + count

    def replace() -> tf.Tensor:
        before = tf.strings.substr(contents, zero, position)
        after = tf.strings.substr(contents, behind, length - behind)
        return tf.strings.join([before, replacement, after])

    return tf.cond(behind < length, replace, lambda: contents)


def _place_on_screen(pixels: tf.Tensor, frame: _Frame, shade: int) -> tf.Tensor:
    """Places a frame on its screen."""

    def place() -> tf.Tensor:
        check = tf.debugging.Assert(
            tf.reduce_prod(frame.screen) <= _MAX_PIXELS,
            ["GIF of more pixels than are decoded:", frame.screen],
        )
        with tf.control_dependencies([check]):
            after = frame.screen - frame.size - frame.corner
        sides = tf.concat(
            [tf.stack([frame.corner, after], axis=1), [[0, 0]]], 0
        )
        return tf.pad(pixels, sides, constant_values=shade)

    is_smaller = tf.reduce_any(frame.screen != frame.size)
    return tf.cond(is_smaller, place, lambda: pixels)
