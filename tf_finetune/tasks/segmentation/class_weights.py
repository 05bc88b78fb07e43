"""Weights of classes whose shares of the pixels differ."""

from collections.abc import Sequence

import numpy as np

KINDS = ("none", "balanced", "effective_number")


def class_weights(
    kind: str,
    *,
    pixels: Sequence[int],
    pixels_of_pictures: Sequence[int],
) -> np.ndarray | None:
    """Returns a weight for each class, or None for equal ones.

    They are scaled so that their mean over the training pixels is 1: the
    learning rate keeps its meaning.

    Args:
        kind: "none"; "balanced": the median of the classes' frequencies over
            the class' own; "effective_number": the inverse of the number of
            pixels that still tell something new.
        pixels: [classes], training pixels of each class.
        pixels_of_pictures: [classes], all pixels that are not ignored, of the
            training pictures in which the class occurs.

    Returns:
        float32 [classes]; 1 for a class without a pixel.

    Source: Eigen and Fergus 2015, "Predicting Depth, Surface Normals and
    Semantic Labels with a Common Multi-Scale Convolutional Architecture",
    section 6.3.2 (balanced); Cui et al. 2019, "Class-Balanced Loss Based on
    Effective Number of Samples", equation 2. Its N, the number of samples
    beyond which another one is a repetition, is what each class would have
    if all had the same: pixels are many and alike, and N of the paper's size
    would make all weights equal.
    """
    if kind == "none":
        return None
    counts = np.asarray(pixels, "float64")
    occurs = counts > 0
    weights = np.ones(len(counts))
    if not occurs.any():
        return weights.astype("float32")
    if kind == "balanced":
        around = np.asarray(pixels_of_pictures, "float64")
        shares = counts[occurs] / around[occurs]
        weights[occurs] = np.median(shares) / shares
    else:
        fair = counts.sum() / occurs.sum()
        # beta = (N - 1) / N; beta to the power n is exp(-n / N) for large N.
        weights[occurs] = 1 / -np.expm1(-counts[occurs] / fair)
    mean = (weights * counts).sum() / counts.sum()
    weights[occurs] /= mean
    return weights.astype("float32")
