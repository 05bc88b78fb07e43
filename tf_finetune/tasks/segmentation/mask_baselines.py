"""Baselines of a segmentation: masks that ignore the picture."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.metrics import segmentation_metrics


def compute_chance(true: Sequence[int]) -> dict[str, float | None]:
    """Computes the metrics of a uniformly random class for each pixel.

    Args:
        true: [classes], pixels of each class in the evaluated pictures.
    """
    # In expectation each class' pixels are spread evenly over all classes.
    pixels = np.asarray(true, "float64")[:, np.newaxis]
    return segmentation_metrics.summarize_confusion(
        np.repeat(pixels / len(pixels), len(pixels), axis=1)
    )


def compute_most_frequent_class(
    train: Sequence[int], true: Sequence[int]
) -> dict[str, float | None]:
    """Computes the metrics of always predicting the commonest training class.

    Args:
        train: [classes], pixels of each class in the training pictures; they
            decide the class, the first of equally common ones.
        true: [classes], pixels in the evaluated pictures.
    """
    # One column: every pixel is predicted to be of that class.
    confusion = np.zeros([len(true), len(true)])
    confusion[:, int(np.argmax(train))] = true
    return segmentation_metrics.summarize_confusion(confusion)
