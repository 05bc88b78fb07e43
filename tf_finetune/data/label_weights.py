"""Weights of present and absent labels in the loss."""

import numpy as np

from tf_finetune.config import training_options
from tf_finetune.data import effective_number


def compute_label_weights(
    counts: np.ndarray, examples: int, kind: training_options.ClassWeight
) -> np.ndarray | None:
    """Computes the weights of absent and of present labels.

    Args:
        counts: [labels], training pictures that carry each.
        examples: All training pictures.
        kind: "balanced" weighs both by n / (2 × their count);
            "effective_number" as `effective_number.compute_weights` does of the
            two.

    Returns:
        [2, labels] float32, absent then present, the mean over the examples of
        each label being 1; None for equal ones. A label that all or none carry
        has weights of 1.
    """
    if kind == "none":
        return None
    counts = np.asarray(counts)
    both = np.stack([examples - counts, counts]).astype("float64")
    if kind == "effective_number":
        found = np.stack(
            [effective_number.compute_weights(each) for each in both.T]
        )
        weights = found.T
    else:
        # n / (2 · count), as scikit-learn's "balanced" of two classes.
        weights = examples / (2.0 * np.maximum(both, 1))
    return np.where(both.min(axis=0) > 0, weights, 1.0).astype("float32")
