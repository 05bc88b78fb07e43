"""Checks of the arrays that metrics are computed from."""

from collections.abc import Sequence

import numpy as np

from tf_finetune import errors


def check_arrays(
    targets: np.ndarray, predictions: np.ndarray, names: Sequence[str]
) -> None:
    """Checks that targets and predictions belong together and are finite.

    Args:
        targets: [n, outputs], or [n] class indices.
        predictions: [n, outputs].
        names: Names of the outputs.

    Raises:
        DataError: There is no example.
        RunError: A prediction is NaN or infinite.
        ValueError: The shapes do not fit.
    """
    count = len(targets)
    if count == 0:
        raise errors.DataError(
            "There is no picture to evaluate on; a split needs at least one."
        )
    expected = (count, len(names))
    # Class indices [n], or one target per output [n, outputs].
    if predictions.shape != expected or targets.shape not in (
        expected,
        (count,),
    ):
        raise ValueError(
            "Targets and predictions must be [examples, outputs] = "
            f"{expected}, got {targets.shape} and {predictions.shape}."
        )
    bad = int(np.sum(~np.isfinite(predictions).all(axis=1)))
    if bad:
        raise errors.RunError(
            f"The model's predictions are NaN or infinite for {bad} of {count} "
            "pictures: training diverged. Try a lower --learning_rate."
        )
