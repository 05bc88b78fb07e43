"""Sample format of encoded pictures: depth, alpha, lossless or not."""

import re

from tf_finetune.data.images import file_kinds

_PNG_TYPES_WITH_ALPHA = (4, 6)  # Gray with alpha, RGB with alpha.
_BITFIELDS = 3  # BMP compression: masks say where each channel is.


def has_sixteen_bits(contents: bytes) -> bool:
    """Tells if a file is a PNG of 16 bits a sample."""
    return contents[:8] == b"\x89PNG\r\n\x1a\n" and contents[24:25] == b"\x10"


def has_alpha(contents: bytes) -> bool:
    """Tells if a file declares transparent pixels, whether it has any or not.

    Args:
        contents: Bytes of a picture of a kind that is decoded.
    """
    kind = file_kinds.detect_kind(contents[: file_kinds.HEAD_BYTES])
    if kind == "PNG":
        color_type = contents[25] if len(contents) > 25 else 0
        return color_type in _PNG_TYPES_WITH_ALPHA or b"tRNS" in contents
    if kind == "WebP":
        is_container = contents[12:16] == b"VP8X"
        # VP8X: its flags follow the chunk's header; VP8L: the signature and 14
        # bits each of width and height come before the alpha bit.
        place = 20 if is_container else 24
        flags = contents[place] if len(contents) > place else 0
        is_lossless = contents[12:16] == b"VP8L"
        return (is_container or is_lossless) and bool(flags & 0x10)
    if kind == "GIF":
        return re.search(rb"\x21\xf9\x04[\x01-\xff]", contents) is not None
    if kind == "BMP":
        # Compression and the mask of the alpha channel.
        words = [
            int.from_bytes(contents[i : i + 4], "little") for i in (30, 66)
        ]
        return words == [_BITFIELDS, 0xFF000000]
    return False


def is_lossless_webp(contents: bytes) -> bool:
    """Tells if a WebP keeps its pixels as they are.

    Walks over the chunks of the file: VP8L holds pixels without losses, VP8
    and the frames of an animation need not.
    """
    position, found = 12, set()
    while position + 8 <= len(contents):
        name = contents[position : position + 4]
        length = int.from_bytes(contents[position + 4 : position + 8], "little")
        found.add(name)
        # Chunks are padded to even lengths.
        position += 8 + length + length % 2
    return b"VP8L" in found and not found & {b"VP8 ", b"ANMF"}


def describe_rare_jpeg(contents: bytes) -> str:
    """Returns in words the process of a JPEG that few programs decode.

    Args:
        contents: Bytes of a JPEG.

    Returns:
        "lossless", "arithmetic coding", "12 bits" …; empty for the usual
        ones, baseline and progressive of 8 bits, and where it is not found.

    Source: ITU-T T.81, table B.1.
    """
    position = 2
    while position + 9 <= len(contents) and contents[position] == 0xFF:
        marker = contents[position + 1]
        # Any number of fill bytes may come before a marker.
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xF7:
            return "JPEG-LS"
        # SOF markers; C4, C8 and CC are DHT, JPG and DAC.
        is_frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        if is_frame:
            return _describe_process(marker, contents[position + 4])
        position += 2 + int.from_bytes(
            contents[position + 2 : position + 4], "big"
        )
    return ""


def _describe_process(marker: int, bits: int) -> str:
    if marker in (0xC3, 0xC7, 0xCB, 0xCF):
        return "lossless"
    if marker >= 0xC9:
        return "arithmetic coding"
    if marker in (0xC5, 0xC6):
        return "hierarchical"
    return "" if bits == 8 else f"{bits} bits"
