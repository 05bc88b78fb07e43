"""Checks of targets and numeric columns before TensorFlow starts."""

from collections.abc import Sequence

import numpy as np
from absl import logging

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.tasks.regression import float32_range, labels
from tf_finetune.tasks.regression.rows import row_table


def check_listed(
    config: train_config.TrainConfig,
    pictures: Sequence[examples.Picture],
    names: Sequence[str],
) -> None:
    """Checks that float32 can distinguish the numbers of a table.

    Args:
        config: Of the run.
        pictures: All listed pictures.
        names: Of the targets.

    Raises:
        DataError: The targets or a column of numbers lie too close together
            for float32, or --target_range too far from the targets.
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
    if row_table.has_row_inputs(config.data):
        _check_columns(config)


def _check_logarithm(values: np.ndarray, what: str) -> None:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high - low < float32_range.LEAST_LOGGED_SHARE * high:
        raise errors.DataError(
            f"The values of {what} lie between "
            f"{float32_range.format_number(low)} and "
            f"{float32_range.format_number(high)}: so close together that the "
            "logarithm only loses digits. Use --target_transform=none."
        )


def _check_columns(config: train_config.TrainConfig) -> None:
    rows = row_table.read_table(config.data)
    # Missing numbers are NaN here and become the median of training later.
    for place, name in enumerate(config.data.numeric_columns):
        values = np.array([row.numbers[place] for row in rows], "float64")
        known = values[~np.isnan(values)]
        if len(known):
            float32_range.check_digits(known, f"the numbers {name!r}")
