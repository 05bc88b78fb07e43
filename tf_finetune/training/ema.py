"""Exponential moving average (EMA) of the weights, evaluated and saved.

Source: Polyak & Juditsky 1992, "Acceleration of Stochastic Approximation by
Averaging"; Tan & Le 2019, "EfficientNet", section 5.2 (a moving average).
"""

from collections.abc import Mapping

import keras
import numpy as np


class EmaCallback(keras.callbacks.Callback):
    """Swaps the weights for their moving averages during validation.

    The model is evaluated and saved with the averages; `restore_weights` swaps
    the weights in again before the next training step.
    """

    def __init__(self) -> None:
        """Starts with the model's own weights in place."""
        super().__init__()
        self._is_swapped = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Keeps Keras from leaving the averages in place when `fit` ends."""
        # Keras overwrites the weights with the averages at the end of `fit`;
        # `load_best` decides here which weights remain.
        self._optimizer.finalize_variable_values = lambda variables: None

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Swaps the averages in before validation."""
        if not self._is_swapped:
            self._swap_weights()
            self._is_swapped = True

    def restore_weights(self) -> None:
        """Swaps the weights back in for the next training step."""
        if self._is_swapped:
            self._swap_weights()
            self._is_swapped = False

    @property
    def _optimizer(self) -> keras.optimizers.Optimizer:
        # Loss scaling wraps the optimizer that holds the averages.
        outer = self.model.optimizer
        return getattr(outer, "inner_optimizer", outer)

    def _swap_weights(self) -> None:
        optimizer = self._optimizer
        for weight, average in zip(
            self.model.trainable_variables,
            optimizer._model_variables_moving_average,
            strict=True,
        ):
            # A swap, not a copy: no third set of weights is held in memory.
            before = np.array(weight)
            weight.assign(np.array(average))
            average.assign(before)
