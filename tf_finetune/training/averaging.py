"""Moving averages of the weights, judged and kept in place of the weights.

Source: Polyak & Juditsky 1992, "Acceleration of Stochastic Approximation by
Averaging"; Tan & Le 2019, "EfficientNet", section 5.2 (a moving average).
"""

from collections.abc import Mapping

import keras
import numpy as np


class Averages(keras.callbacks.Callback):
    """Gives the model its averages while it is judged and kept.

    Before validation they change places with the weights, until `put_back`.
    """

    def __init__(self) -> None:
        """Begins with the model's own weights in place."""
        super().__init__()
        self._changed_over = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Keeps Keras from leaving the averages in place when `fit` ends."""
        self._optimizer.finalize_variable_values = lambda variables: None

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Puts the averages in place."""
        if not self._changed_over:
            self._change_over()
            self._changed_over = True

    def put_back(self) -> None:
        """Gives the model its weights again, for the next step."""
        if self._changed_over:
            self._change_over()
            self._changed_over = False

    @property
    def _optimizer(self) -> keras.optimizers.Optimizer:
        outer = self.model.optimizer
        return getattr(outer, "inner_optimizer", outer)

    def _change_over(self) -> None:
        optimizer = self._optimizer
        for weight, average in zip(
            self.model.trainable_variables,
            optimizer._model_variables_moving_average,
            strict=True,
        ):
            before = np.array(weight)
            weight.assign(np.array(average))
            average.assign(before)
