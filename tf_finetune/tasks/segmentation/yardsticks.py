"""What masks reach that do not look at the picture."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.tasks.segmentation import metrics


def chance(true: Sequence[int]) -> dict[str, float | None]:
    """Returns what a class drawn for each pixel reaches, all as likely.

    Args:
        true: [classes], pixels of each class in the evaluated pictures.
    """
    pixels = np.asarray(true, "float64")[:, np.newaxis]
    return metrics.summary(np.repeat(pixels / len(pixels), len(pixels), axis=1))


def most_frequent_class(
    train: Sequence[int], true: Sequence[int]
) -> dict[str, float | None]:
    """Returns what the commonest class of the training pixels reaches.

    Args:
        train: [classes], pixels of each class in the training pictures; they
            decide the class, the first of equally common ones.
        true: [classes], pixels in the evaluated pictures.
    """
    confusion = np.zeros([len(true), len(true)])
    confusion[:, int(np.argmax(train))] = true
    return metrics.summary(confusion)
