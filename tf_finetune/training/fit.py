"""Training of one stage: the only caller of `model.fit`."""

import dataclasses
import time
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf
from absl import logging

from tf_finetune import shutdown
from tf_finetune.data import progress as bars
from tf_finetune.model import assembly, fast_batch_norm
from tf_finetune.training import fit_stage as stages
from tf_finetune.training.checkpoints import checkpoint_callback, divergence
from tf_finetune.training.distributed import replicas


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of a training stage.

    Attributes:
        rows: Metrics by name, one dict for each epoch.
        best: Index in `rows` of the epoch whose weights the model now has; the
            last one if epochs are not ranked.
    """

    rows: tuple[dict[str, float], ...]
    best: int


def fit(
    model: keras.Model,
    stage: stages.FitStage,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Outcome:
    """Trains a compiled model for one stage; it ends with its best weights.

    An interrupted stage resumes from its last checkpoint, with the batches,
    optimizer state, random states and running metrics that it would have had:
    on a CPU the result has the same bits. After a NaN or infinite loss the
    stage goes back to its last checkpoint with half the learning rate.

    Args:
        model: Compiled model, trained in place.
        stage: Data, length, ranking of epochs and checkpoints.
        callbacks: Further Keras callbacks.

    Returns:
        Metrics of every epoch, those before a resume included, and the best
        one.

    Raises:
        RunError: The loss is NaN or infinite too often, or a checkpoint cannot
            be written.
        shutdown.SignalExit, KeyboardInterrupt: The process was asked to stop;
            its checkpoint is written.
    """
    _build_optimizer(model)
    with (
        fast_batch_norm.accelerate(model),
        replicas.separate_seeds(model),
        shutdown.catch_signals(stage.grace_seconds, at_once=False) as request,
    ):
        keeper = checkpoint_callback.CheckpointCallback(model, stage, request)
        _log_start(stage, keeper)
        while not keeper.is_done:
            try:
                _fit_epochs(model, stage, keeper, callbacks)
            except divergence.DivergedError as diverged:
                keeper.recover(diverged)
        request.raise_if_requested()
    keeper.load_best()
    rows, best = keeper.progress.rows, keeper.progress.best
    return Outcome(
        rows=tuple(rows), best=len(rows) - 1 if best is None else best
    )


def _fit_epochs(
    model: keras.Model,
    stage: stages.FitStage,
    keeper: checkpoint_callback.CheckpointCallback,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains to the end of the stage, or of the epoch it resumes within."""
    epoch, step = keeper.progress.epochs_done, keeper.progress.step
    strategy = model.distribute_strategy
    # The bar comes first, so that it is gone when the metrics are logged.
    own = [_ProgressBar(stage), keeper]
    if stage.averages:
        own.append(stage.averages)
    batches = stage.batches(epoch, step)
    keeper.set_batches(batches)
    model.fit(
        replicas.distribute_batches(batches, strategy),
        initial_epoch=epoch,
        # A resumed epoch is shorter, and Keras takes one length for all: it
        # is a call of its own, and the caller's loop goes on from there.
        epochs=epoch + 1 if step else stage.epochs,
        steps_per_epoch=stage.steps_per_epoch - step,
        validation_data=replicas.distribute_batches(stage.validation, strategy),
        validation_steps=replicas.count_steps(stage.validation, strategy),
        callbacks=[*own, *callbacks],
        # `stage.batches` has shuffled already, by seed and epoch.
        shuffle=False,
        verbose=0,
    )


def _log_start(
    stage: stages.FitStage, keeper: checkpoint_callback.CheckpointCallback
) -> None:
    epochs, step = keeper.progress.epochs_done, keeper.progress.step
    if epochs or step:
        behind = f" and step {step} of the next" if step else ""
        if keeper.is_done:
            behind = ", its last"
        logging.info(
            "%s: continuing after epoch %d%s", stage.name, epochs, behind
        )


def time_step(model: keras.Model, batches: tf.data.Dataset) -> float:
    """Times one training step of a compiled model and undoes its updates.

    Args:
        model: Compiled model; its weights and optimizer state are restored.
        batches: Three batches of (inputs, targets): two to warm up, one that is
            timed.

    Returns:
        Seconds.
    """
    _build_optimizer(model)
    state = [*model.variables, *model.optimizer.variables]
    clock = _StepTimer()
    strategy = model.distribute_strategy
    with (
        assembly.keep_values(state),
        fast_batch_norm.accelerate(model),
        replicas.separate_seeds(model),
    ):
        model.fit(
            replicas.distribute_batches(batches, strategy),
            steps_per_epoch=replicas.count_steps(batches, strategy),
            verbose=0,
            shuffle=False,
            callbacks=[clock],
        )
    # From the end of the second step, the last of the warm-up, to that of the
    # third.
    return clock.times[-1] - clock.times[-2]


def _build_optimizer(model: keras.Model) -> None:
    optimizer = model.optimizer
    # A loss-scaling optimizer creates its variables anew when built twice,
    # which would discard a restored state.
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    if model.distribute_strategy.num_replicas_in_sync == 1:
        # TensorFlow keeps the graph of a training step that sums gradients
        # over replicas, even of one, for as long as the process lives.
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner._all_reduce_sum_gradients = list


class _ProgressBar(keras.callbacks.Callback):
    """Shows a progress bar per epoch, unless the epoch is short."""

    def __init__(self, stage: stages.FitStage) -> None:
        super().__init__()
        self._stage = stage
        self._meter: bars.Meter | None = None

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        of = f", epoch {epoch + 1} of {self._stage.epochs}"
        self._meter = bars.Meter(
            # In a resumed epoch Keras counts the remaining steps only.
            total=self.params["steps"],
            title=f"{self._stage.name}{of if self._stage.epochs > 1 else ''}",
            unit="steps",
            is_brief=True,
        )

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        self._meter.advance()

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        self._meter.close()


class _StepTimer(keras.callbacks.Callback):
    """Records the time at which each step ends."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        self.times.append(time.perf_counter())
