"""Pictures that would take too much memory, known by their first bytes."""

import io
import struct
from collections.abc import Iterable

import tensorflow as tf
from google.protobuf import message
from PIL import Image

from tf_finetune.data import file_kinds, inspection
from tf_finetune.serving import failures


def check(contents: Iterable[bytes], *, max_pixels: int) -> None:
    """Raises `RequestError` if one claims more pixels than allowed.

    A file of some 100 kB can claim a picture of gigabytes. What is no picture
    passes: the model says what is wrong with it.

    Args:
        contents: Encoded pictures, or anything else.
        max_pixels: Width times height.
    """
    for number, content in enumerate(contents):
        pixels = _pixels(content)
        if pixels > max_pixels:
            raise failures.RequestError(
                413,
                f"Picture {number} has {pixels} pixels or more; {max_pixels} "
                "are allowed (--max_pixels).",
            )


def in_examples(serialized: Iterable[bytes]) -> list[bytes]:
    """Returns every string of bytes in serialised tf.train.Examples."""
    found: list[bytes] = []
    for each in serialized:
        try:
            features = tf.train.Example.FromString(each).features.feature
        except message.DecodeError:
            continue  # The model will say what is wrong with it.
        for feature in features.values():
            found += feature.bytes_list.value
    return found


def _pixels(content: bytes) -> int:
    kind = file_kinds.of(content[: file_kinds.HEAD_BYTES])
    if kind not in file_kinds.DECODABLE:
        return 0
    try:
        width, height = inspection.header_size(io.BytesIO(content), kind)
    except Image.DecompressionBombError:
        return 2 * Image.MAX_IMAGE_PIXELS
    except inspection.Damaged:
        # TensorFlow decodes some PNGs in whose later parts Pillow sees damage.
        width, height = _png_size(content) if kind == "PNG" else (0, 0)
    return width * height


def _png_size(content: bytes) -> tuple[int, int]:
    """Returns what the first part says, which is always IHDR."""
    head = content[16:24]
    return struct.unpack(">II", head) if len(head) == 8 else (0, 0)
