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
    """Swaps weights and their moving averages (EMA) around validation.

    Before validation it swaps the averages in, so that the model is evaluated
    and saved with them; `restore_weights` swaps the weights back in before the
    next training step.

    Source: Polyak & Juditsky 1992, "Acceleration of Stochastic Approximation by
    Averaging"; Tan & Le 2019, "EfficientNet", section 5.2.
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
        """Puts the trained weights back, in place of their averages.

        Does nothing if they are in the model already.
        """
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
        # Keras has no public name for the averages.
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
    """Training stage: one call of `fit` with its data, length and checkpoints.

    Attributes:
        name: Name in the history and the log: "head", "fine_tune", or one of
            several stages of fine-tuning.
        epochs: Most epochs to train.
        steps_per_epoch: Batches per epoch, a smaller last one included.
        batches: Maps (epoch, step), both from 0, to a dataset of all batches
            from there on; those before are not read.
        validation: Batches for `model.evaluate` after each epoch; None: no
            validation.
        rank: Maps the metrics of an epoch to a tuple, the greatest of which is
            the best epoch; None: the last epoch is kept.
        patience: Epochs without a better rank before the stage ends; None: no
            early stopping.
        folder: Folder of checkpoints, from which an interrupted stage resumes;
            None: no checkpoints, and no recovery from divergence.
        writes: Whether this process writes checkpoints; else another one does.
        averages: Swaps moving averages in for validation; None: no EMA.
        constant: Weights that the stage does not move, such as those under an
            adapter; checkpoints leave them out, and a resumed stage is given
            them as the interrupted one was.
        keeps_optimizer: Whether the optimizer, too, ends with its state of the
            best epoch, for a stage that goes on from there.
        report: Called after each epoch with the metrics of all epochs so far;
            None: not called.
        checkpoint_every_steps: Steps between checkpoints within an epoch; None
            or 0: one checkpoint per epoch.
        keep_checkpoints: Number of checkpoints that are kept, at least 1.
        grace_seconds: Seconds that a process may take to stop when asked to.
        max_recoveries: Most recoveries from a NaN or infinite loss.
        names: Maps (epoch, step) to the names of that batch's examples, for
            errors; None: they are unknown.
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
    constant: Sequence[keras.Variable] = ()
    keeps_optimizer: bool = False
    report: Callable[[Sequence[Mapping[str, float]]], None] | None = None
    checkpoint_every_steps: int | None = None
    keep_checkpoints: int = 2
    grace_seconds: float = 30.0
    max_recoveries: int = 2
    names: Callable[[int, int], Sequence[str]] | None = None


def list_metric_variables(model: keras.Model) -> list[keras.Variable]:
    """Lists the variables of a compiled model's loss and metrics.

    They hold the running sums of an epoch, such as the sum of losses.
    """
    return [v for metric in model.metrics for v in metric.variables]


def build_metrics(model: keras.Model, batches: tf.data.Dataset) -> None:
    """Creates the variables of a model's metrics before the first step does.

    A resumed epoch needs them, to restore their running sums.

    Args:
        model: Compiled model.
        batches: Its training batches; only their shapes and dtypes are read.
    """
    # One example of zeros is enough for Keras to learn the shapes.
    spec = batches.element_spec[1]
    targets = tf.zeros([1, *spec.shape[1:]], spec.dtype)
    logits = tf.zeros([each or 1 for each in model.output_shape])
    model.compute_metrics(x=None, y=targets, y_pred=logits)
    # The example of zeros must not count.
    model.reset_metrics()
