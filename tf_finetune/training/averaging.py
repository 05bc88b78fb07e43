"""Moving averages of the weights, judged and kept in place of the weights.

Source: Polyak & Juditsky 1992, "Acceleration of Stochastic Approximation by
Averaging"; Tan & Le 2019, "EfficientNet", section 5.2 (a moving average).
"""

from collections.abc import Mapping

import keras
import numpy as np


class Averages(keras.callbacks.Callback):
    """Gives the model its averages while it is judged and kept.

    It acts before validation and, last of all callbacks, at the end of an
    epoch; a checkpoint written in between holds weights and averages changed
    over, which is undone when training goes on from it. It writes nothing.
    """

    def __init__(self) -> None:
        """Begins with the model's own weights in place."""
        super().__init__()
        self._changed_over = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Undoes what a checkpoint was written with."""
        if int(self._optimizer.iterations.numpy()) > 0:
            self._change_over()
            self._changed_over = False

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Puts the averages in place."""
        if not self._changed_over:
            self._change_over()
            self._changed_over = True

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Puts the weights back."""
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
