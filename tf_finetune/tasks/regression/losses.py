"""Losses of a regression on standardized targets, in float32."""

from typing import Any

import keras


class RegressionLoss(keras.losses.Loss):
    """A loss of standardized predictions against standardized targets."""

    def __init__(self, name: str) -> None:
        """Chooses the loss.

        Args:
            name: "mean_squared_error"; "mean_absolute_error"; "huber" (Huber
                1964, "Robust Estimation of a Location Parameter", section 5,
                with its corner at one standard deviation of the targets).
        """
        super().__init__(name=name)
        # Keras' functions by the same name; "huber" has delta 1 by default.
        self._function = getattr(keras.losses, name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch], mean over targets."""
        return self._function(
            keras.ops.cast(y_true, "float32"),
            keras.ops.cast(y_pred, "float32"),
        )
