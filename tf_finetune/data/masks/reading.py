"""Mask files as the numbers or colours of their pixels."""

import io

import numpy as np
from PIL import Image

IGNORED = 255
"""Marks pixels that belong to no class and take no part in anything."""

MOST_CLASSES = 255
"""Indices of classes are bytes, of which one means "ignored"."""

_LOSSLESS = ("PNG", "BMP", "GIF", "TIFF")
_COLORS = ("RGB", "RGBA")
_DEPTH = 24  # Where a PNG's header says how many bits a sample has.


class Unreadable(Exception):
    """A file that is no mask; the text says why."""


def read(content: bytes, *, by_color: bool) -> np.ndarray:
    """Decodes a mask.

    Args:
        content: Bytes of a PNG, BMP, GIF or TIFF file. The numbers of grey
            pictures of less than eight bits are those stored (0..15 for four
            bits), not what they are as shades; a palette's are the places in
            the palette.
        by_color: Whether colours are wanted instead of numbers.

    Returns:
        int32 [height, width]: the number of each pixel, or its colour as
        `code_of` tells it.

    Raises:
        Unreadable: It is no such file, or a colour picture whose pixels have
            no number.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format not in _LOSSLESS:
                raise Unreadable(
                    f"it is {image.format}, which does not keep pixels as "
                    f"they are; possible: {', '.join(_LOSSLESS)}"
                )
            image.load()
            return _colors(image) if by_color else _numbers(image, content)
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable("it is larger than Pillow reads") from error
    except Exception as error:  # Pillow raises whatever its parsers meet.
        raise Unreadable("it is no picture, or a damaged one") from error


def code_of(color: tuple[int, int, int]) -> int:
    """Returns a colour as one number."""
    red, green, blue = color
    return red << 16 | green << 8 | blue


def color_of(code: int) -> tuple[int, int, int]:
    """Returns the colour that `code_of` made a number of."""
    return code >> 16, code >> 8 & 255, code & 255


def _colors(image: Image.Image) -> np.ndarray:
    red, green, blue = np.moveaxis(
        np.asarray(image.convert("RGB"), np.int32), -1, 0
    )
    return red << 16 | green << 8 | blue


def _numbers(image: Image.Image, content: bytes) -> np.ndarray:
    if image.mode in _COLORS:
        return _grey_of_colors(np.asarray(image.convert("RGB"), np.int32))
    if image.mode == "LA":
        image = image.getchannel("L")
    values = np.asarray(image)
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise Unreadable(f"its pixels are of the kind {image.mode!r}")
    if values.dtype.kind == "f" and (values % 1).any():
        raise Unreadable("its pixels are no whole numbers")
    depth = content[_DEPTH] if image.format == "PNG" else 8
    if image.mode == "L" and depth < 8:
        # Pillow makes shades of them, up to 255.
        values = values // (255 // (2**depth - 1))
    return values.astype(np.int32)


def _grey_of_colors(pixels: np.ndarray) -> np.ndarray:
    if (pixels != pixels[..., :1]).any():
        raise Unreadable(
            "it is a colour picture; --color_map names a file that says "
            "which colour is which class"
        )
    return pixels[..., 0]
