"""EXIF orientation of pictures, as TensorFlow graph operations.

`tf.io.decode_image` ignores the tag, so that a photograph from a phone held
upright comes out rotated by 90 degrees. What is damaged counts as
upright: nothing here raises or runs for ever, whatever the bytes are.

Source: CIPA DC-008 (EXIF 2.32), sections 4.5.2, 4.5.4 and 4.6.4; PNG (third
edition), section 11.3.4.4; the WebP container specification, "Metadata".
"""

from collections.abc import Callable

import tensorflow as tf

from tf_finetune.data.images import header_numbers

_ORIENTATION_TAG = 0x0112
_SHORT = 3
_PREFIX = b"Exif\0\0"

# An entry of the tag begins with its number and type, in either byte order.
# Where neither is anywhere in a file, nothing needs to be parsed: one operation
# instead of hundreds of small ones. \C is any byte.
_TAG_PATTERN = r"\C*(?:\x12\x01\x03\x00|\x01\x12\x00\x03)\C*"

# A walk through a file ends here; a PNG of 80 MB has so many chunks of the
# 8 kB that libpng writes.
_MAX_CHUNKS = 10_000

_Step = Callable[
    [tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
]


def read_orientation(
    contents: tf.Tensor, *, kind: str | None = None
) -> tf.Tensor:
    """Reads the EXIF orientation of an encoded picture.

    Args:
        contents: Scalar string, the bytes of a file.
        kind: "JPEG", "PNG", "WebP", "GIF" or "BMP" where it is known, for a
            smaller graph; None: any of them.

    Returns:
        int32 scalar, the value 1..8 of the EXIF tag; 1 (upright) where a JPEG,
        PNG or WebP file has no readable tag, and for all other files.
    """
    if kind in ("GIF", "BMP"):
        return tf.constant(1)
    mentioned = tf.strings.regex_full_match(contents, _TAG_PATTERN)
    return tf.cond(mentioned, lambda: _read_tag(contents, kind), lambda: 1)


def turn_upright(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotates and mirrors a picture as its EXIF orientation says.

    Args:
        pixels: [height, width, channels] as stored.
        orientation: int32 scalar 1..8, the value of the EXIF tag.

    Returns:
        [height, width, channels], upright; the sides are exchanged for 5..8.
    """

    def turn() -> tf.Tensor:
        # Transposed before mirrored: 6 is a turn by 90 degrees to the right.
        image = _apply_when(orientation, (5, 6, 7, 8), _transpose, pixels)
        image = _apply_when(orientation, (2, 3, 6, 7), _flip_columns, image)
        return _apply_when(orientation, (3, 4, 7, 8), _flip_rows, image)

    return tf.cond(orientation == 1, lambda: pixels, turn)


def _transpose(image: tf.Tensor) -> tf.Tensor:
    return tf.transpose(image, (1, 0, 2))


def _flip_columns(image: tf.Tensor) -> tf.Tensor:
    return tf.reverse(image, (1,))


def _flip_rows(image: tf.Tensor) -> tf.Tensor:
    return tf.reverse(image, (0,))


def _read_tag(contents: tf.Tensor, kind: str | None) -> tf.Tensor:
    data = tf.io.decode_raw(contents, tf.uint8)

    def search(start: int, step: _Step) -> Callable[[], tf.Tensor]:
        return lambda: _find_exif(data, start, step)

    # Behind the start-of-image marker, the PNG signature, the RIFF header.
    searches = {
        "JPEG": search(2, _read_jpeg_segment),
        "PNG": search(8, _read_png_chunk),
        "WebP": search(12, _read_webp_chunk),
    }
    if kind:
        return _parse_exif(searches[kind]())
    # Comparing strings costs a tenth of comparing bytes; most are JPEG.
    signature = tf.strings.substr(contents, 0, 3)
    exif = tf.cond(
        signature == b"\xff\xd8\xff",
        searches["JPEG"],
        lambda: tf.cond(
            signature == b"\x89PN",
            searches["PNG"],
            # Other files have no such chunks, or none that are found.
            searches["WebP"],
        ),
    )
    return _parse_exif(exif)


def _apply_when(
    value: tf.Tensor,
    among: tuple[int, ...],
    change: Callable[[tf.Tensor], tf.Tensor],
    image: tf.Tensor,
) -> tf.Tensor:
    chosen = tf.reduce_any(value == tf.constant(among))
    return tf.cond(chosen, lambda: change(image), lambda: image)


def _find_exif(data: tf.Tensor, start: int, step: _Step) -> tf.Tensor:
    """Returns the bytes of the EXIF block, none if there is no such block.

    Args:
        data: uint8 [n], a file.
        start: Where its first segment or chunk begins.
        step: (data, position of a segment) → whether it holds EXIF, where its
            content begins, the content's length, where the next one begins.
    """
    size = tf.size(data, out_type=tf.int64)

    def body(
        position: tf.Tensor, begin: tf.Tensor, length: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        del begin, length
        found, begin, length, following = step(data, position)
        # Forward at each step, whatever lengths the file claims.
        following = tf.maximum(following, position + 1)
        return (
            tf.where(found, size, following),
            tf.where(found, begin, size),
            length,
        )

    _, begin, length = tf.while_loop(
        lambda position, *_: position < size,
        body,
        (tf.constant(start, tf.int64), size, tf.constant(0, tf.int64)),
        maximum_iterations=_MAX_CHUNKS,
    )
    return data[begin : begin + length]


def _read_jpeg_segment(
    data: tf.Tensor, position: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    # Marker, length of 2 bytes, and the prefix of 6.
    head = header_numbers.take_bytes(data, position, 10)
    marker = head[1]
    # APP1 with EXIF; XMP is an APP1, too, with another prefix.
    found = (marker == 0xE1) & header_numbers.begins_with(head[4:], _PREFIX)
    length = header_numbers.read_number(head[2:4], big=True)
    is_filler = marker == 0xFF
    following = position + tf.where(is_filler, tf.ones_like(length), 2 + length)
    # Start of scan, end of image; from there on it is no marker.
    over = (head[0] != 0xFF) | (marker == 0xDA) | (marker == 0xD9)
    following = tf.where(over, tf.size(data, out_type=tf.int64), following)
    # The length counts its own two bytes.
    return found & ~over, position + 4, length - 2, following


def _read_png_chunk(
    data: tf.Tensor, position: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    # Length, type, content, CRC: 12 bytes beside the content.
    head = header_numbers.take_bytes(data, position, 8)
    length = header_numbers.read_number(head[:4], big=True)
    found = header_numbers.begins_with(head[4:], b"eXIf")
    size = tf.size(data, out_type=tf.int64)
    following = tf.where(
        header_numbers.begins_with(head[4:], b"IEND"),
        size,
        position + 12 + length,
    )
    return found, position + 8, length, following


def _read_webp_chunk(
    data: tf.Tensor, position: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    head = header_numbers.take_bytes(data, position, 8)
    length = header_numbers.read_number(head[4:], big=False)
    # Chunks are padded to even lengths.
    following = position + 8 + length + length % 2
    return (
        header_numbers.begins_with(head, b"EXIF"),
        position + 8,
        length,
        following,
    )


def _parse_exif(exif: tf.Tensor) -> tf.Tensor:
    """Returns the orientation that a block of EXIF declares, else 1.

    Args:
        exif: uint8 [n], a TIFF header and directory, with or without prefix.
    """
    prefix = tf.where(
        header_numbers.begins_with(exif, _PREFIX), len(_PREFIX), 0
    )
    tiff = exif[prefix:]
    big = header_numbers.begins_with(tiff, b"MM\0*")
    known = big | header_numbers.begins_with(tiff, b"II*\0")
    offset = header_numbers.read_number(
        header_numbers.take_bytes(tiff, 4, 4), big=big
    )
    # IFD0: a count of two bytes, then entries of 12: tag, type, number of
    # values, value.
    directory = tiff[offset:]
    count = header_numbers.read_number(
        header_numbers.take_bytes(directory, 0, 2), big=big
    )
    entries = directory[2 : 2 + 12 * count]
    # A damaged count or a short file may cut the last entry.
    whole = tf.size(entries) // 12 * 12
    table = tf.cast(tf.reshape(entries[:whole], (-1, 12)), tf.int64)
    matches = (
        (header_numbers.read_number(table[:, 0:2], big=big) == _ORIENTATION_TAG)
        & (header_numbers.read_number(table[:, 2:4], big=big) == _SHORT)
        & (header_numbers.read_number(table[:, 4:8], big=big) == 1)
    )
    # A SHORT lies in the first 2 of the 4 bytes of the value (TIFF 6.0, section
    # 2).
    values = tf.boolean_mask(
        header_numbers.read_number(table[:, 8:10], big=big), matches
    )
    # The first tag counts; upright if there is none.
    value = tf.concat([values, [1]], axis=0)[0]
    is_valid = known & (value >= 1) & (value <= 8)
    return tf.where(is_valid, tf.cast(value, tf.int32), 1)
