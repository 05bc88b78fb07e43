"""Weights of classes and of labels in the loss."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.config import training_options


def weigh_classes(
    counts: np.ndarray, kind: training_options.ClassWeight
) -> np.ndarray | None:
    """Computes the weight of each class in the loss.

    Args:
        counts: [classes], training pictures of each; 0 for a class that is
            kept from an earlier run, whose weight is 1.
        kind: "balanced" weighs a class by n / (classes that occur × its count),
            so that the mean weight over the examples is 1; "effective_number"
            as `weigh_by_effective_number` does; "none" weighs all alike.

    Returns:
        float32 [classes]; None for "none".
    """
    if kind == "none":
        return None
    if kind == "effective_number":
        return weigh_by_effective_number(counts).astype("float32")
    # n / (classes · count), as scikit-learn's "balanced".
    occurs = counts > 0
    found = np.ones(len(counts))
    found[occurs] = counts.sum() / (occurs.sum() * counts[occurs])
    return found.astype("float32")


def weigh_labels(
    counts: np.ndarray, examples: int, kind: training_options.ClassWeight
) -> np.ndarray | None:
    """Computes the weights of absent and of present labels in the loss.

    Args:
        counts: [labels], training pictures that carry each.
        examples: Number of all training pictures.
        kind: "balanced" weighs absence and presence of a label each by n / (2 ×
            its count); "effective_number" as `weigh_by_effective_number` does
            with these two as classes; "none" weighs all alike.

    Returns:
        float32 [2, labels], the weights of absent labels, then of present ones;
        the mean over the examples is 1 for each label. A label that all or no
        pictures carry has weights of 1. None for "none".
    """
    if kind == "none":
        return None
    counts = np.asarray(counts)
    both = np.stack([examples - counts, counts]).astype("float64")
    if kind == "effective_number":
        found = np.stack([weigh_by_effective_number(each) for each in both.T])
        weights = found.T
    else:
        # n / (2 · count), as scikit-learn's "balanced" of two classes.
        # Counts of 0, avoided here, get a weight of 1 below.
        weights = examples / (2.0 * np.maximum(both, 1))
    return np.where(both.min(axis=0) > 0, weights, 1.0).astype("float32")


def weigh_by_effective_number(counts: Sequence[float]) -> np.ndarray:
    """Computes class weights, the inverse of the effective number of examples.

    The n-th example of a class adds less than the first ones: n examples are
    worth (1 - beta^n) / (1 - beta), with beta = (N - 1) / N. N is here the
    number of examples per class if all had the same, so that classes beyond
    their fair share differ little in weight and those far below it much.

    Args:
        counts: [classes], examples or pixels of each.

    Returns:
        float64 [classes], scaled so that their mean over the examples is 1; 1
        for a class without an example.

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
