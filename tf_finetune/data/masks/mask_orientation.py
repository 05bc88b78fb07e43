"""Orientations in which a mask fits its picture."""

from collections.abc import Sequence

from absl import logging
from PIL import Image

from tf_finetune.data import examples
from tf_finetune.data.masks import array_orientation, mask_scan

_MAX_SHOWN = 5


def measure_upright(picture: examples.Picture) -> tuple[int, int]:
    """Returns the width and height of a picture once it is turned upright."""
    size = picture.width, picture.height
    if picture.width == picture.height:
        return size
    return array_orientation.turn_size(*size, _read_orientation(picture))


def list_orientations(
    picture: examples.Picture, scan: mask_scan.MaskScan
) -> list[int]:
    """Returns EXIF orientations in which a mask fits, the likeliest first.

    A mask has the tag of its picture, one of its own, or none: then it was
    drawn on the upright picture, or on the pixels as they are stored.
    """
    candidates = [scan.orientation, _read_orientation(picture), 1]
    return [
        each
        for each in dict.fromkeys(candidates)
        if array_orientation.turn_size(scan.width, scan.height, each)
        == measure_upright(picture)
    ]


def warn_of_unclear(
    pictures: Sequence[examples.Picture],
    scans: Sequence[mask_scan.MaskScan],
    fitting: Sequence[list[int]],
) -> None:
    """Warns of masks without a tag that fit turned pictures in two ways."""
    triples = list(zip(pictures, scans, fitting, strict=True))
    turned = sum(fits[0] != scan.orientation for _, scan, fits in triples)
    if turned:
        logging.info(
            "%d masks are rotated by the EXIF tags of their pictures, as their "
            "size requires.",
            turned,
        )
    unclear = [
        picture.label.path
        for picture, scan, fits in triples
        if scan.orientation == 1 and len(fits) > 1
    ]
    if not unclear:
        return
    more = len(unclear) - _MAX_SHOWN
    logging.warning(
        "%s no EXIF orientation tag, unlike the picture. Masks without a tag "
        "are assumed to be drawn on the upright picture: %s%s. A mask drawn "
        "on the pixels as they are stored needs the tag, too.",
        "1 mask has" if len(unclear) == 1 else f"{len(unclear)} masks have",
        ", ".join(unclear[:_MAX_SHOWN]),
        f" and {more} more" if more > 0 else "",
    )


def _read_orientation(picture: examples.Picture) -> int:
    try:
        with Image.open(picture.path) as image:
            return array_orientation.read_orientation(image)
    except Exception:  # Pillow raises whatever its parsers meet.
        return 1  # A damaged tag counts as upright, as in `orientation`.
