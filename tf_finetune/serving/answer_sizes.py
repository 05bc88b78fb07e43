"""Upper bound of a response's size, known before anything is computed.

A request of a few kilobytes can ask for gigabytes: many pictures of one pixel,
with probabilities for every pixel of the model's input, or one large picture
beside small ones, whose answers are padded to the largest.
"""

import math
from collections.abc import Sequence

from tf_finetune.serving import image_sizes, tensor_info


def bound_bytes(
    outputs: Sequence[tensor_info.TensorInfo],
    rows: int,
    pictures: image_sizes.ImageSize,
) -> int:
    """Bounds the bytes of all arrays of a response.

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
    """Returns whether rows are padded to the largest row of their batch."""
    return any(None in (each.shape or ())[1:] for each in outputs)


def _bound_output_bytes(
    info: tensor_info.TensorInfo, rows: int, pictures: image_sizes.ImageSize
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
