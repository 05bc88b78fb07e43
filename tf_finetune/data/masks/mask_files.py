"""Decoding of mask files to the numbers or colors of their pixels.

A mask is turned by the EXIF tag that `data.images.orientation` reads of its
picture in a graph, looked for in the same places.
"""

import io
from typing import Literal

import numpy as np
from PIL import Image

from tf_finetune.data.images import file_kinds

IGNORED_INDEX = 255
"""Index of pixels without a class: no loss and no metric counts them."""

MAX_CLASSES = 255
"""Indices of classes are bytes, of which one means "ignored"."""

_LOSSLESS_KINDS = ("PNG", "BMP", "GIF", "TIFF", "lossless WebP")
_COLOR_MODES = ("RGB", "RGBA", "RGBX")
# Offsets of the bits per sample in the headers, and the TIFF tag BitsPerSample.
_PNG_DEPTH = 24
_BMP_DEPTH = 28
_TIFF_DEPTH = 258

_OPAQUE = 255
"""The alpha of pixels that hide what is below."""

AlphaUse = Literal["none", "opaque", "mask"]

_TRANSPOSED = (5, 6, 7, 8)
"""Orientations that exchange width and height."""

_TAG = 0x0112


class UnreadableMaskError(Exception):
    """Raised where a file is not a usable mask; the text says why."""


def read_values(
    content: bytes, *, by_color: bool, orientation: int = 1
) -> np.ndarray:
    """Decodes a mask file to one number per pixel.

    Args:
        content: Bytes of a PNG, BMP, GIF, TIFF or lossless WebP file. Gray
            pictures of less than eight bits give the stored numbers (0..15
            for four bits), palettes the indices into them. Where all colors
            are equal and alpha is not opaque, alpha holds the numbers.
        by_color: Whether to return colors instead of numbers.
        orientation: EXIF orientation 1..8 to apply; 1: as it is stored.

    Returns:
        int32 [height, width]: the number of each pixel, or its color as
        `encode_color` returns it, 0xRRGGBB.

    Raises:
        UnreadableMaskError: It is no such file, is damaged, or is a color
            picture whose pixels have no number.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            _check_lossless(image, content)
            image.load()
            values = (
                _read_colors(image)
                if by_color
                else _read_numbers(image, content)
            )
            return turn_upright(values, orientation)
    except UnreadableMaskError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableMaskError(
            "it has more pixels than Pillow reads"
        ) from error
    except Exception as error:  # Pillow raises whatever its parsers meet.
        raise UnreadableMaskError(
            "it is not a picture that Pillow can read, or it is damaged"
        ) from error


def read_orientation(content: bytes) -> int:
    """Returns the EXIF orientation of a mask file, 1..8; 1: upright.

    Args:
        content: Bytes of the file. TIFF, which Pillow rotates while it reads,
            and files without a readable tag give 1.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return 1 if image.format == "TIFF" else read_exif_orientation(image)
    except Exception:  # Pillow raises whatever its parsers meet.
        return 1


def detect_alpha_use(content: bytes) -> AlphaUse:
    """Returns the role of the alpha channel of a mask file.

    Args:
        content: Bytes of a file that `read_values` reads.

    Returns:
        "mask": all colors are equal, and alpha is not opaque everywhere;
        "opaque": all colors are equal, and it is; "none": there is no alpha,
        or the colors differ.
    """
    with Image.open(io.BytesIO(content)) as image:
        if "A" not in image.getbands():
            return "none"
        *colors, alpha = (band.getextrema() for band in image.split())
    if any(low != high for low, high in colors):
        return "none"
    return "opaque" if alpha[0] == _OPAQUE else "mask"


def encode_color(color: tuple[int, int, int]) -> int:
    """Returns an RGB color, 0..255 each, as one number 0xRRGGBB."""
    red, green, blue = color
    return red << 16 | green << 8 | blue


def decode_color(code: int) -> tuple[int, int, int]:
    """Returns the color (red, green, blue), 0..255, of a number 0xRRGGBB."""
    return code >> 16, code >> 8 & 255, code & 255


def read_exif_orientation(image: Image.Image) -> int:
    """Returns the orientation in the EXIF tag of an open picture, 1..8.

    1 where there is no readable tag. Only the EXIF block of a JPEG, PNG or WebP
    counts, not other sources that Pillow reads, such as XMP.
    """
    data = image.info.get("exif")
    if image.format == "PNG" and not data:
        image.load()  # The chunk may stand behind the pixels.
        data = image.info.get("exif")
    try:
        tags = Image.Exif()
        tags.load(data or b"")
        found = tags.get(_TAG)
    except Exception:  # Pillow raises whatever its parsers meet.
        return 1
    return found if found in range(1, 9) else 1


def turn_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Returns (width, height) of a picture after EXIF `orientation` 1..8."""
    return (height, width) if orientation in _TRANSPOSED else (width, height)


def turn_upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Rotates and mirrors a mask as its EXIF orientation says.

    Args:
        values: [height, width] as stored.
        orientation: 1..8, the value of the EXIF tag.

    Returns:
        A view of the same array, upright; the sides are exchanged for 5..8.
    """
    if orientation in _TRANSPOSED:
        values = values.T
    # After a transposition for 5..8, these mirror left to right …
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    # … and these top to bottom.
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values


def _check_lossless(image: Image.Image, content: bytes) -> None:
    """Raises `UnreadableMaskError` for files of lossy kinds."""
    form = image.format
    if form == "WEBP":
        form = "lossless WebP"
        if not file_kinds.is_lossless_webp(content):
            form = "a lossy WebP"
    if form not in _LOSSLESS_KINDS:
        raise UnreadableMaskError(
            f"it is {form}, which does not keep pixels as they are; "
            f"possible: {', '.join(_LOSSLESS_KINDS)}"
        )


def _read_colors(image: Image.Image) -> np.ndarray:
    if "A" in image.getbands() and _is_in_alpha(image):
        raise UnreadableMaskError(
            "all its colors are the same and the mask is in its alpha "
            "channel, which is read without --color_map"
        )
    red, green, blue = np.moveaxis(
        np.asarray(image.convert("RGB"), np.int32), -1, 0
    )
    return red << 16 | green << 8 | blue


def _is_in_alpha(image: Image.Image) -> bool:
    *colors, alpha = (band.getextrema() for band in image.split())
    return alpha[0] < _OPAQUE and all(low == high for low, high in colors)


def _read_numbers(image: Image.Image, content: bytes) -> np.ndarray:
    if "A" in image.getbands() and _is_in_alpha(image):
        return np.asarray(image.getchannel("A"), np.int32)
    if image.mode in _COLOR_MODES:
        pixels = np.asarray(image.convert("RGB"), np.int32)
        return _convert_to_gray(pixels, has_alpha="A" in image.getbands())
    if image.mode == "LA":
        image = image.getchannel("L")
    values = np.asarray(image)
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise UnreadableMaskError(f"its pixels are of the kind {image.mode!r}")
    if values.dtype.kind == "f" and (values % 1).any():
        raise UnreadableMaskError("its pixels are not whole numbers")
    if values.dtype.kind in "if" and values.size and values.min() < 0:
        raise UnreadableMaskError(
            f"it holds {values.min():.0f}, and mask values start at 0; "
            f"add {-values.min():.0f} to the pixels of all masks"
        )
    depth = _read_depth(image, content)
    if image.mode == "L" and image.format == "BMP" and depth == 4:
        return _read_4_bit_bmp(content, *image.size)
    if image.mode == "L" and depth < 8:
        # Pillow scales them to 0..255: by 255 for 1 bit, 85 for 2, 17 for 4.
        values = values // (255 // (2**depth - 1))
    return values.astype(np.int32)


def _read_depth(image: Image.Image, content: bytes) -> int:
    """Returns the bits a sample; 8 for kinds of files without fewer."""
    if image.format == "PNG":
        return content[_PNG_DEPTH]
    if image.format == "BMP":
        return content[_BMP_DEPTH]
    if image.format == "TIFF":
        return int(image.tag_v2.get(_TIFF_DEPTH, (8,))[0])
    return 8


def _read_4_bit_bmp(content: bytes, width: int, height: int) -> np.ndarray:
    """Reads the numbers of a 4-bit BMP with a linear gray palette.

    Pillow 13 takes its half bytes for bytes.
    """
    # Offset of the pixels (byte 10) and biCompression (byte 30).
    begin, compression = (
        int.from_bytes(content[place : place + 4], "little")
        for place in (10, 30)
    )
    # Rows are padded to multiples of 32 bits.
    stride = (4 * width + 31) // 32 * 4
    data = np.frombuffer(content[begin : begin + stride * height], np.uint8)
    if compression or data.size != stride * height:
        raise UnreadableMaskError("it is a BMP of a rare kind; save it as PNG")
    rows = data.reshape(height, stride)
    # Two pixels a byte, the left one in the upper half.
    values = np.stack([rows >> 4, rows & 15], axis=-1).reshape(height, -1)
    # The last row comes first, unless the height is negative.
    is_upward = content[25] < 128
    values = values[::-1] if is_upward else values
    return values[:, :width].astype(np.int32)


def _convert_to_gray(pixels: np.ndarray, *, has_alpha: bool) -> np.ndarray:
    if (pixels != pixels[..., :1]).any():
        raise UnreadableMaskError(
            "it is a color picture; --color_map names a file that says "
            "which color is which class"
            + (
                "; if its alpha channel is the mask, save that as a gray PNG"
                if has_alpha
                else ""
            )
        )
    return pixels[..., 0]
