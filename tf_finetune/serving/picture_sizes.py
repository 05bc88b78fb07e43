"""How large a picture would be once decoded, from its encoded bytes.

Read here and not by Pillow: what counts is what TensorFlow's decoders (libjpeg,
libpng, giflib, libwebp) find, also in files that Pillow calls damaged. A kind
is told by the same first bytes as in `tf.io.decode_image`.
"""

import dataclasses
import struct

_GIF_IMAGE, _GIF_EXTENSION = 0x2C, 0x21
_JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}  # Markers without a length.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9


class UnknownSizeError(Exception):
    """A picture by its first bytes, whose size is nowhere to be read."""


@dataclasses.dataclass(frozen=True)
class Size:
    """What a decoder would make of a picture.

    Attributes:
        pixels: Width times height times frames; 0 for what is no picture.
        side: The longer of width and height; which of them is the height of
            the upright picture is not known here. 0 for what is not decoded.
    """

    pixels: int = 0
    side: int = 0


def measured(content: bytes) -> Size:
    """Returns how large a picture would be, all of its frames together.

    Args:
        content: An encoded picture, or anything else.

    Raises:
        UnknownSizeError: It begins as a picture, and does not go on so.
    """
    for start, measure in _MEASURES:
        if content.startswith(start):
            try:
                return measure(content)
            except (IndexError, struct.error) as error:
                raise UnknownSizeError from error
    return Size()


def _size(width: int, height: int, frames: int = 1) -> Size:
    return Size(width * height * frames, max(width, height))


def _png(content: bytes) -> Size:
    """Source: RFC 2083, section 4.1.1; IHDR must come first."""
    if content[12:16] != b"IHDR":
        raise UnknownSizeError
    return _size(*struct.unpack_from(">II", content, 16))


def _bmp(content: bytes) -> Size:
    """As TensorFlow reads it: no more pixels than bytes, or it refuses.

    Any text may begin with "BM", so that no size is an error here.
    """
    if len(content) < 26:
        return Size()
    width, height = map(abs, struct.unpack_from("<ii", content, 18))
    if width * height > len(content):
        return Size(len(content))
    return _size(width, height)


def _jpeg(content: bytes) -> Size:
    """Finds the frame header as libjpeg does, which skips what is between.

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
            return _size(*struct.unpack_from(">HH", content, place + 3))
        if marker and marker not in _JPEG_ALONE:
            place += max(2, *struct.unpack_from(">H", content, place))


def _gif(content: bytes) -> Size:
    """Takes each frame for as large as the largest, as decoders may.

    Source: GIF89a specification, sections 18 to 24.
    """
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    place = 13 + _colour_table_bytes(flags)
    frames = 0
    # A file that ends early is decoded as far as it goes.
    while place < len(content):
        if content[place] == _GIF_IMAGE:
            if place + 10 > len(content):
                break
            sides = struct.unpack_from("<HHB", content, place + 5)
            width, height = max(width, sides[0]), max(height, sides[1])
            frames += 1
            place = place + 11 + _colour_table_bytes(sides[2])
        elif content[place] == _GIF_EXTENSION:
            place += 2
        else:
            break
        place = _after_blocks(content, place)
    if not frames:
        raise UnknownSizeError
    return _size(width, height, frames)


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(content: bytes, place: int) -> int:
    end = len(content)
    while place < end and (size := content[place]):
        place += size + 1
    return place + 1


def _webp(content: bytes) -> Size:
    """Source: RFC 9649, section 2; RFC 6386, section 9.1."""
    if content[8:12] != b"WEBP":
        return Size()
    kind = content[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(_three(content, 24), "little") + 1
        height = int.from_bytes(_three(content, 27), "little") + 1
        return _size(width, height, max(1, content.count(b"ANMF")))
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return _size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return _size(width & 0x3FFF, height & 0x3FFF)
    raise UnknownSizeError


def _three(content: bytes, place: int) -> bytes:
    if len(content) < place + 3:
        raise UnknownSizeError
    return content[place : place + 3]


_MEASURES = (
    (b"\xff\xd8\xff", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"GIF8", _gif),
    (b"BM", _bmp),
    (b"RIFF", _webp),
)
