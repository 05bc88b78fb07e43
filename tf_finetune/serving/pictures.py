"""Pictures that would take too much memory, known by their first bytes."""

from collections.abc import Iterable

import tensorflow as tf
from google.protobuf import message

from tf_finetune.serving import failures, picture_sizes


def pixels(contents: Iterable[bytes], *, max_pixels: int) -> list[int]:
    """Returns how many pixels each claims, of all its frames together.

    A file of some 100 kB can claim a picture of gigabytes. What is no picture
    passes: the model says what is wrong with it. A picture whose size cannot
    be read does not.

    Args:
        contents: Encoded pictures, serialised tf.train.Examples with such
            pictures in them, or anything else.
        max_pixels: What is allowed; width times height times frames.

    Raises:
        RequestError: One claims more than allowed, or its size is nowhere to
            be read.
    """
    counts = []
    for number, content in enumerate(contents):
        counts.append(_pixels(number, content))
        if counts[-1] > max_pixels:
            raise failures.RequestError(
                413,
                f"Picture {number} has {counts[-1]} pixels or more; "
                f"{max_pixels} are allowed (--max_pixels).",
            )
    return counts


def in_examples(serialized: bytes) -> list[bytes]:
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


def _pixels(number: int, content: bytes) -> int:
    try:
        # Both: an Example may begin as a small picture does.
        return picture_sizes.pixels(content) + sum(
            map(picture_sizes.pixels, in_examples(content))
        )
    except picture_sizes.UnknownSizeError as error:
        raise failures.RequestError(
            400, f"Picture {number} is damaged: its size cannot be read."
        ) from error
