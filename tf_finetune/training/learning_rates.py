"""Lowering of the learning rate while training is under way."""

from typing import Any

import keras
import numpy as np


class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule multiplied by a constant factor."""

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        factor: float,
    ) -> None:
        """Wraps a schedule."""
        super().__init__()
        self._schedule = schedule
        self._factor = factor

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of a step."""
        return self._schedule(step) * self._factor

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of `__init__`, as Keras serializes them."""
        return {"schedule": self._schedule, "factor": self._factor}


class LearningRateScaler:
    """Scales the learning rate of an optimizer relative to its initial one."""

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Remembers the optimizer's learning rate as it is now."""
        # The public attribute gives a schedule's value, not the schedule.
        plain = getattr(optimizer, "inner_optimizer", optimizer)
        self._optimizer = plain
        self._first = plain._learning_rate
        if not _is_schedule(self._first):
            self._first = float(np.asarray(plain.learning_rate))
        self._factor = 1.0

    def scale(self, factor: float) -> bool:
        """Sets the learning rate to `factor` times the initial one.

        Returns:
            Whether functions compiled before must be compiled again: a
            schedule is traced into them, a plain number is a variable.
        """
        if not _is_schedule(self._first):
            self._optimizer.learning_rate = self._first * factor
            return False
        is_news = factor != self._factor
        if is_news:
            self._optimizer.learning_rate = ScaledSchedule(self._first, factor)
            self._factor = factor
        return is_news


def _is_schedule(rate: Any) -> bool:
    return isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
