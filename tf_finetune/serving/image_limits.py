"""Limit on the decoded size of pictures, read from their headers."""

from collections.abc import Iterable

import tensorflow as tf
from google.protobuf import message

from tf_finetune.serving import failures, image_sizes

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
