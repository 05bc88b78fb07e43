"""Pictures that would take too much memory, known by their first bytes."""

from collections.abc import Iterable

import tensorflow as tf
from google.protobuf import message

from tf_finetune.serving import failures, picture_sizes

# Of one Example; each is looked at.
_MAX_STRINGS = 1000


def measured(
    contents: Iterable[bytes], *, max_pixels: int
) -> list[picture_sizes.Size]:
    """Returns how large each claims to be, all of its frames together.

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
    sizes = []
    for number, content in enumerate(contents):
        sizes.append(_measured(number, content))
        if sizes[-1].pixels > max_pixels:
            raise failures.RequestError(
                413,
                f"Picture {number} has {sizes[-1].pixels} pixels or more; "
                f"{max_pixels} are allowed (--max_pixels).",
            )
    return sizes


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


def _measured(number: int, content: bytes) -> picture_sizes.Size:
    strings = in_examples(content)
    if len(strings) > _MAX_STRINGS:
        raise failures.RequestError(
            413,
            f"Example {number} holds {len(strings)} strings; {_MAX_STRINGS} "
            "are allowed.",
        )
    try:
        # Both: an Example may begin as a small picture does.
        found = [picture_sizes.measured(each) for each in (content, *strings)]
    except picture_sizes.UnknownSizeError as error:
        raise failures.RequestError(
            400, f"The size of picture {number} cannot be read."
        ) from error
    return picture_sizes.Size(
        sum(each.pixels for each in found), max(each.side for each in found)
    )
