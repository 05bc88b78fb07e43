"""Limits on the decoded size of pictures and on the bytes of a response."""

import dataclasses
import math
import struct
from collections.abc import Iterable, Sequence

import tensorflow as tf
from google.protobuf import message

from tf_finetune.serving import failures, tensor_info
from tf_finetune.untrusted import picture_signatures

# Limit of strings in one Example; each is parsed as a possible picture.
_MAX_STRINGS = 1000
# Block introducers of GIF89a; markers of JPEG (ITU-T T.81, table B.1). 0xC4,
# 0xC8 and 0xCC lie among the frame headers but are none.
_GIF_IMAGE, _GIF_EXTENSION = 0x2C, 0x21
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}  # Markers without a length.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9


class UnknownSizeError(Exception):
    """Error of a picture whose size cannot be read from its header."""


@dataclasses.dataclass(frozen=True)
class ImageSize:
    """Decoded size of a picture.

    Attributes:
        pixels: Width times height times frames; 0 if it is not a picture.
        side: The longer of width and height; which of them is the height
            depends on the EXIF orientation, which is not read here. 0 if the
            content is not decoded.
    """

    pixels: int = 0
    side: int = 0


def measure_images(
    contents: Iterable[bytes], *, max_pixels: int
) -> list[ImageSize]:
    """Measures the decoded size of each picture and refuses too large ones.

    A file of some 100 kB can decode to gigabytes. Contents that are not a
    picture pass: the model reports the error.

    Args:
        contents: Encoded pictures, serialized tf.train.Examples with such
            pictures in them, or anything else.
        max_pixels: Limit of width times height times frames.

    Returns:
        One size for each of `contents`; for an Example the sum of its pixels.

    Raises:
        RequestError: 413, a picture or the number of strings in an Example
            exceeds the limit; 400, the size of a picture cannot be read.
    """
    sizes = []
    for number, content in enumerate(contents):
        sizes.append(_measure_content(number, content))
        if sizes[-1].pixels > max_pixels:
            raise failures.RequestError(
                413,
                f"Picture {number} has {sizes[-1].pixels} pixels or more; "
                f"{max_pixels} are allowed (--max_pixels).",
            )
    return sizes


def extract_strings(serialized: bytes) -> list[bytes]:
    """Extracts every string from a serialized Example or SequenceExample.

    An Example is a SequenceExample of its context alone: their first fields
    are the same. Of anything else the result is empty.
    """
    try:
        found = tf.train.SequenceExample.FromString(serialized)
    except message.DecodeError:
        return []
    features = list(found.context.feature.values())
    for each in found.feature_lists.feature_list.values():
        features += each.feature
    return [value for each in features for value in each.bytes_list.value]


def bound_bytes(
    outputs: Sequence[tensor_info.TensorInfo],
    rows: int,
    pictures: ImageSize,
) -> int:
    """Computes an upper bound of the bytes of a response's arrays.

    A request of a few kilobytes can ask for gigabytes: many pictures of one
    pixel, with probabilities for every pixel of the model's input, or one large
    picture beside small ones, whose answers are padded to the largest.
    Dimensions that a signature leaves open are assumed to be the pictures'
    sides: of several pictures, the longest side for both, because pictures may
    be portrait or landscape. The contents of strings are not counted.

    Args:
        outputs: The outputs of the signature.
        rows: The number of rows of the request.
        pictures: The pixels of all its pictures, and their longest side.
    """
    return sum(_bound_output_bytes(each, rows, pictures) for each in outputs)


def is_padded(outputs: Sequence[tensor_info.TensorInfo]) -> bool:
    """Returns whether rows are padded to the largest picture of a batch."""
    return any(None in (each.shape or ())[1:] for each in outputs)


def measure_image(content: bytes) -> ImageSize:
    """Measures the decoded size of a picture, all of its frames together.

    Returns:
        Its size; 0 pixels if `content` is no JPEG, PNG, GIF, BMP or WebP file.

    Raises:
        UnknownSizeError: It begins like a picture, but its header is broken.
    """
    for kind, measure in _MEASURES.items():
        if content.startswith(picture_signatures.FIRST_BYTES[kind]):
            try:
                return measure(content)
            except (IndexError, struct.error) as error:
                raise UnknownSizeError from error
    return ImageSize()


def _measure_content(number: int, content: bytes) -> ImageSize:
    strings = extract_strings(content)
    if len(strings) > _MAX_STRINGS:
        raise failures.RequestError(
            413,
            f"Example {number} holds {len(strings)} strings; {_MAX_STRINGS} "
            "are allowed.",
        )
    try:
        # As a picture and as an Example: an Example may begin with the bytes of
        # a small picture.
        found = [measure_image(each) for each in (content, *strings)]
    except UnknownSizeError as error:
        raise failures.RequestError(
            400, f"The size of picture {number} cannot be read."
        ) from error
    return ImageSize(
        sum(each.pixels for each in found), max(each.side for each in found)
    )


def _bound_output_bytes(
    info: tensor_info.TensorInfo, rows: int, pictures: ImageSize
) -> int:
    sides = info.shape or ()
    count = rows if info.has_rows else 1
    inner = sides[1:] if info.has_rows else sides
    number_open = inner.count(None)
    area = pictures.side**number_open
    # A single picture's number of pixels is known, which is a closer bound.
    if rows == 1 and number_open == 2:
        area = min(area, pictures.pixels)
    known = math.prod(side for side in inner if side is not None)
    return count * known * area * info.dtype.itemsize


def _make_size(width: int, height: int, frames: int = 1) -> ImageSize:
    return ImageSize(width * height * frames, max(width, height))


def _measure_png(content: bytes) -> ImageSize:
    """Reads IHDR, which must come first.

    Source: RFC 2083, section 4.1.1.
    """
    if content[12:16] != b"IHDR":
        raise UnknownSizeError
    return _make_size(*struct.unpack_from(">II", content, 16))


def _measure_bmp(content: bytes) -> ImageSize:
    """Reads a header as TensorFlow does, which refuses more pixels than bytes.

    Any text may begin with "BM", so no size is an error here.
    """
    if len(content) < 26:
        return ImageSize()
    width, height = map(abs, struct.unpack_from("<ii", content, 18))
    if width * height > len(content):
        return ImageSize(len(content))
    return _make_size(width, height)


def _measure_jpeg(content: bytes) -> ImageSize:
    """Finds the frame header as libjpeg does, which skips stray bytes.

    Source: ITU-T T.81, section B.1.1 and B.2.2.
    """
    place = 2
    while True:
        place = content.find(b"\xff", place)
        if place < 0:
            raise UnknownSizeError
        while content[place] == 0xFF:  # Fill bytes.
            place += 1
        marker = content[place]
        place += 1
        if marker in (_JPEG_SCAN, _JPEG_END):
            raise UnknownSizeError
        if marker in _JPEG_FRAMES:
            # Behind length and precision: height, then width.
            return _make_size(*struct.unpack_from(">HH", content, place + 3))
        if marker and marker not in _JPEG_WITHOUT_LENGTH:
            # A segment's length includes its own two bytes; less would stand
            # still or go back.
            place += max(2, *struct.unpack_from(">H", content, place))


def _measure_gif(content: bytes) -> ImageSize:
    """Counts frames, each assumed to be as large as the largest.

    Source: GIF89a specification, sections 18 to 24.
    """
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    place = 13 + _count_color_table_bytes(flags)
    frames = 0
    # A file that ends early is decoded up to its end.
    while place < len(content):
        if content[place] == _GIF_IMAGE:
            if place + 10 > len(content):
                break
            sides = struct.unpack_from("<HHB", content, place + 5)
            width, height = max(width, sides[0]), max(height, sides[1])
            frames += 1
            place = place + 11 + _count_color_table_bytes(sides[2])
        elif content[place] == _GIF_EXTENSION:
            place += 2
        else:
            break
        place = _skip_blocks(content, place)
    if not frames:
        raise UnknownSizeError
    return _make_size(width, height, frames)


def _count_color_table_bytes(flags: int) -> int:
    # Three bytes for each of 2^(n + 1) colors, n in the lowest three bits.
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(content: bytes, place: int) -> int:
    # Sub-blocks: a byte of length and so many bytes, up to a length of 0.
    end = len(content)
    while place < end and (size := content[place]):
        place += size + 1
    return place + 1


def _measure_webp(content: bytes) -> ImageSize:
    """Reads the header of an extended, lossless or lossy file.

    Source: RFC 9649, section 2; RFC 6386, section 9.1.
    """
    if content[8:12] != b"WEBP":
        return ImageSize()
    kind = content[12:16]
    if kind == b"VP8X":
        # Behind flags and 3 reserved bytes: width - 1, height - 1.
        width = int.from_bytes(_read_three_bytes(content, 24), "little") + 1
        height = int.from_bytes(_read_three_bytes(content, 27), "little") + 1
        return _make_size(width, height, max(1, content.count(b"ANMF")))
    if kind == b"VP8L":
        # 14 bits each of width - 1 and height - 1.
        (bits,) = struct.unpack_from("<I", content, 21)
        return _make_size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        # 14 bits each; the two above them ask for scaling.
        width, height = struct.unpack_from("<HH", content, 26)
        return _make_size(width & 0x3FFF, height & 0x3FFF)
    raise UnknownSizeError


def _read_three_bytes(content: bytes, place: int) -> bytes:
    if len(content) < place + 3:
        raise UnknownSizeError
    return content[place : place + 3]


_MEASURES = {
    "JPEG": _measure_jpeg,
    "PNG": _measure_png,
    "GIF": _measure_gif,
    "BMP": _measure_bmp,
    "WebP": _measure_webp,
}
