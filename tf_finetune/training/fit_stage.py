"""A training stage (head or fine-tuning) as data, for `fit`.

With them stands the exponential moving average (EMA) of its weights.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf


class EmaCallback(keras.callbacks.Callback):
    """Swaps the weights for their moving averages during validation.

    The model is evaluated and saved with the averages; `restore_weights` swaps
    the weights in again before the next training step.

    Source: Polyak & Juditsky 1992, "Acceleration of Stochastic Approximation
    by Averaging"; Tan & Le 2019, "EfficientNet", section 5.2.
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


Rank = Callable[[Mapping[str, float]], tuple[float, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitStage:
    """One call of `fit`: its data, length, selection and checkpoints.

    Attributes:
        name: As history and log call it.
        epochs: At most.
        steps_per_epoch: Batches an epoch, the last partial one included.
        batches: Epoch and step → all batches from there on; those before are
            not read.
        validation: Batches for `model.evaluate` after each epoch, or
            None.
        rank: Orders epochs by their figures; None: the last one is kept.
        patience: Epochs without a better rank before the stage ends; None:
            never.
        folder: Where the stage keeps what it continues from; None: nowhere,
            and nothing is recovered from.
        writes: Whether this process writes there; else another one does.
        averages: Swaps moving averages in for evaluation; None: no EMA.
        report: Called with the rows of all finished epochs after each.
        checkpoint_every_steps: Besides after every epoch; None or 0: not.
        keep_checkpoints: How many.
        grace_seconds: Time that a request to stop may take.
        max_recoveries: How often a NaN or infinite loss is recovered from.
        names: Epoch and step → names of the examples of that batch.
    """

    name: str
    epochs: int
    steps_per_epoch: int
    batches: Callable[[int, int], tf.data.Dataset]
    validation: tf.data.Dataset | None = None
    rank: Rank | None = None
    patience: int | None = None
    folder: pathlib.Path | None = None
    writes: bool = True
    averages: EmaCallback | None = None
    report: Callable[[Sequence[Mapping[str, float]]], None] | None = None
    checkpoint_every_steps: int | None = None
    keep_checkpoints: int = 2
    grace_seconds: float = 30.0
    max_recoveries: int = 2
    names: Callable[[int, int], Sequence[str]] | None = None


def list_metric_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the running sums of a compiled model's loss and metrics."""
    return [v for metric in model.metrics for v in metric.variables]


def build_metrics(model: keras.Model, batches: tf.data.Dataset) -> None:
    """Creates the metrics' variables before the first step does.

    A resumed epoch needs them, to restore their running sums.

    Args:
        model: Compiled.
        batches: Its training batches; only their spec is read.
    """
    # One example of zeros is enough for Keras to learn the shapes.
    spec = batches.element_spec[1]
    targets = tf.zeros([1, *spec.shape[1:]], spec.dtype)
    logits = tf.zeros([each or 1 for each in model.output_shape])
    model.compute_metrics(x=None, y=targets, y_pred=logits)
    model.reset_metrics()
