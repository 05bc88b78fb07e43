"""Class weights of a segmentation, by the frequency of pixels."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.config import training_options
from tf_finetune.data import class_weights


def compute_class_weights(
    kind: training_options.ClassWeight,
    *,
    pixels: Sequence[int],
    pixels_of_pictures: Sequence[int],
) -> np.ndarray | None:
    """Computes a weight for each class, or None for equal ones.

    They are scaled so that their mean over the training pixels is 1: the
    learning rate keeps its meaning.

    Args:
        kind: "none"; "balanced": the median of the classes' frequencies over
            the class' own; "effective_number": as
            `class_weights.weigh_by_effective_number` does of the pixels.
        pixels: [classes], training pixels of each class.
        pixels_of_pictures: [classes], all pixels that are not ignored, of the
            training pictures in which the class occurs.

    Returns:
        float32 [classes]; 1 for a class without a pixel.

    Source: Eigen and Fergus 2015, "Predicting Depth, Surface Normals and
    Semantic Labels with a Common Multi-Scale Convolutional Architecture",
    section 6.3.2 (balanced).
    """
    if kind == "none":
        return None
    counts = np.asarray(pixels, "float64")
    if kind == "effective_number":
        return class_weights.weigh_by_effective_number(counts).astype("float32")
    occurs = counts > 0
    weights = np.ones(len(counts))
    if occurs.any():
        around = np.asarray(pixels_of_pictures, "float64")
        shares = counts[occurs] / around[occurs]
        # Median frequency balancing: median(freq) / freq(c), where freq(c) is
        # the class' share of the pixels of pictures that contain it.
        weights[occurs] = np.median(shares) / shares
        # Mean 1 over the training pixels.
        weights[occurs] /= (weights * counts).sum() / counts.sum()
    return weights.astype("float32")
