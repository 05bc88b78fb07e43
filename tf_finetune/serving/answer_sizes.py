"""How large an answer can become, known before anything is computed.

A request of some kilobytes can ask for gigabytes: many pictures of one pixel
for probabilities of every pixel of the model's, or one large picture beside
small ones for masks that are filled up to the largest.
"""

import math
from collections.abc import Sequence

from tf_finetune.serving import picture_sizes, tensor_info


def most_bytes(
    outputs: Sequence[tensor_info.TensorInfo],
    rows: int,
    pictures: picture_sizes.Size,
) -> int:
    """Returns how many bytes the arrays of an answer have at most.

    Sides that a signature leaves open are taken to be those of the pictures:
    of several, the longest for both, because pictures may lie or stand. What
    texts hold is not counted.

    Args:
        outputs: What the signature gives.
        rows: Of the request.
        pictures: The pixels of all its pictures, and their longest side.
    """
    return sum(_most_bytes(each, rows, pictures) for each in outputs)


def is_filled_up(outputs: Sequence[tensor_info.TensorInfo]) -> bool:
    """Whether rows are as large as the largest of those beside them."""
    return any(None in (each.shape or ())[1:] for each in outputs)


def _most_bytes(
    info: tensor_info.TensorInfo, rows: int, pictures: picture_sizes.Size
) -> int:
    sides = info.shape or ()
    count = rows if info.has_rows else 1
    inner = sides[1:] if info.has_rows else sides
    number_open = inner.count(None)
    area = pictures.side**number_open
    if rows == 1 and number_open == 2:
        area = min(area, pictures.pixels)
    known = math.prod(side for side in inner if side is not None)
    return count * known * area * info.dtype.itemsize
