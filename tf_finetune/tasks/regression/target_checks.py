"""Checks of targets before TensorFlow starts."""

from collections.abc import Sequence

import numpy as np
from absl import logging

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.data.tables import float32_range
from tf_finetune.tasks.regression import labels


def check_listed(
    config: train_config.TrainConfig,
    pictures: Sequence[examples.Picture],
    names: Sequence[str],
) -> None:
    """Checks that float32 can distinguish the targets.

    Args:
        config: Of the run.
        pictures: All listed pictures.
        names: Of the targets.

    Raises:
        DataError: The targets lie too close together for float32, or
            --target_range too far from them.
    """
    targets = labels.stack_targets(pictures)
    for name, values in zip(names, targets.T, strict=True):
        what = f"the target {name!r}"
        float32_range.check_digits(values, what)
        float32_range.check_bounds(values, config.model.target_range, what)
        if config.training.target_transform == "log":
            _check_logarithm(values, what)
        if warning := float32_range.describe_crowding(values, what):
            logging.warning("%s", warning)


def _check_logarithm(values: np.ndarray, what: str) -> None:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high - low < float32_range.LEAST_LOGGED_SHARE * high:
        raise errors.DataError(
            f"The values of {what} lie between "
            f"{float32_range.format_number(low)} and "
            f"{float32_range.format_number(high)}: so close together that the "
            "logarithm only loses digits. Use --target_transform=none."
        )
