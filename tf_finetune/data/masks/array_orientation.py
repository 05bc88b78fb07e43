"""EXIF orientation of pictures and masks as arrays.

The counterpart of `data.pictures.orientation`, which is a graph; the tag is
looked for in the same places, so that a mask is turned as its picture is.
"""

import numpy as np
from PIL import Image

TRANSPOSED = (5, 6, 7, 8)
"""Orientations that exchange width and height."""

_TAG = 0x0112


def read_orientation(image: Image.Image) -> int:
    """Returns the orientation of an open JPEG, PNG or WebP, 1..8.

    1 where there is no tag that can be read. Other places where Pillow finds
    it, such as XMP, do not count.
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
    """Returns the width and height of a turned picture."""
    return (height, width) if orientation in TRANSPOSED else (width, height)


def turn_upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors a picture as its orientation says.

    Args:
        values: [height, width] as stored.
        orientation: 1..8.

    Returns:
        As meant; sides swap for 5..8.
    """
    if orientation in TRANSPOSED:
        values = values.T
    # After a transposition for 5..8, these mirror left to right …
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    # … and these top to bottom.
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values
