"""Limits on the decoded size of pictures and on the bytes of a response."""

import math
from collections.abc import Iterable, Sequence

import tensorflow as tf
from google.protobuf import message

from tf_finetune.serving import failures, image_sizes, tensor_info

# Limit of strings in one Example; each is parsed as a possible picture.
_MAX_STRINGS = 1000


def measure_images(
    contents: Iterable[bytes], *, max_pixels: int
) -> list[image_sizes.ImageSize]:
    """Measures the decoded size of each picture and refuses too large ones.

    A file of some 100 kB can decode to gigabytes. Contents that are not a
    picture pass: the model reports the error. A picture whose size cannot be
    read does not.

    Args:
        contents: Encoded pictures, serialized tf.train.Examples with such
            pictures in them, or anything else.
        max_pixels: Limit of width times height times frames.

    Raises:
        RequestError: A picture exceeds the limit, or its size cannot be read.
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
    """Returns every string of bytes in an Example or SequenceExample.

    An Example is a SequenceExample of its context alone: their first fields
    are the same.
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
    pictures: image_sizes.ImageSize,
) -> int:
    """Bounds the bytes of all arrays of a response, before it is computed.

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
    """Returns whether rows are padded to the largest row of their batch."""
    return any(None in (each.shape or ())[1:] for each in outputs)


def _measure_content(number: int, content: bytes) -> image_sizes.ImageSize:
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
        found = [
            image_sizes.measure_image(each) for each in (content, *strings)
        ]
    except image_sizes.UnknownSizeError as error:
        raise failures.RequestError(
            400, f"The size of picture {number} cannot be read."
        ) from error
    return image_sizes.ImageSize(
        sum(each.pixels for each in found), max(each.side for each in found)
    )


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
