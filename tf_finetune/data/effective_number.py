"""Class weights by the effective number of examples."""

from collections.abc import Sequence

import numpy as np


def compute_weights(counts: Sequence[float]) -> np.ndarray:
    """Computes class weights, the inverse of the effective number of examples.

    The n-th example of a class tells less than the first ones: n examples are
    worth (1 - beta^n) / (1 - beta), with beta = (N - 1) / N. N is here the
    number of examples per class if all had the same, so that classes beyond
    their fair share differ little in weight and those far below it much.

    Args:
        counts: [classes], examples or pixels of each.

    Returns:
        float64 [classes], scaled so that their mean over the examples is 1;
        1 for a class without an example.

    Source: Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of
    Samples", equation 2.
    """
    counts = np.asarray(counts, "float64")
    occurs = counts > 0
    found = np.ones(len(counts))
    if not occurs.any():
        return found
    fair = counts.sum() / occurs.sum()  # N
    # 1 / (1 - beta^n), equation 2 without its constant factor 1 / (1 - beta);
    # beta^n = (1 - 1/N)^n is close to exp(-n/N) for a large N.
    found[occurs] = 1 / -np.expm1(-counts[occurs] / fair)
    # Mean 1 over the examples, so that the learning rate keeps its meaning.
    found[occurs] /= (found * counts).sum() / counts.sum()
    return found
