"""The one place that calls `model.fit`."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import batch_norm, errors
from tf_finetune.data import progress as bars
from tf_finetune.training import checkpoints, replicas

Rank = Callable[[Mapping[str, float]], tuple[float, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training, as data.

    Attributes:
        name: As history and log call it.
        epochs: At most.
        steps_per_epoch: Batches an epoch, the last partial one included.
        batches: first epoch → the batches of all epochs from that one on.
        validation: Batches for `model.evaluate` after each epoch, or None.
        rank: Orders epochs by their figures; None: the last one is kept.
        patience: Epochs without a better rank before the stage ends; None:
            never.
        folder: Where the stage keeps what it continues from; None: nowhere.
        writes: Whether this process writes there; else another one does.
        report: Called with the rows of all finished epochs after each.
    """

    name: str
    epochs: int
    steps_per_epoch: int
    batches: Callable[[int], tf.data.Dataset]
    validation: tf.data.Dataset | None = None
    rank: Rank | None = None
    patience: int | None = None
    folder: pathlib.Path | None = None
    writes: bool = True
    report: Callable[[Sequence[Mapping[str, float]]], None] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a stage came to.

    Attributes:
        rows: Figures of every epoch.
        best: The epoch whose weights the model now has, from 0.
    """

    rows: tuple[dict[str, float], ...]
    best: int


def fit(
    model: keras.Model,
    stage: Stage,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Outcome:
    """Trains a compiled model for one stage and keeps its best epoch.

    An interrupted stage continues after its last finished epoch, with the
    batches, optimizer state and random states that it would have had.

    Raises:
        RunError: The loss is no number any more.
    """
    model.optimizer.build(model.trainable_variables)
    keeper = _Keeper(model, stage)
    progress = keeper.progress
    if progress.epochs_done:
        logging.info(
            "%s: continuing after epoch %d", stage.name, progress.epochs_done
        )
    if progress.epochs_done < stage.epochs and not keeper.exhausted:
        strategy = model.distribute_strategy
        batches = stage.batches(progress.epochs_done)
        with batch_norm.fast(model), replicas.apart(model):
            model.fit(
                replicas.distributed(batches, strategy),
                initial_epoch=progress.epochs_done,
                epochs=stage.epochs,
                steps_per_epoch=stage.steps_per_epoch,
                validation_data=replicas.distributed(
                    stage.validation, strategy
                ),
                validation_steps=replicas.steps(stage.validation, strategy),
                callbacks=[keeper, *callbacks],
                shuffle=False,
                verbose=1 if stage.rank and bars.screen() else 0,
            )
    keeper.load_best()
    return Outcome(rows=tuple(progress.rows), best=progress.best or 0)


def seconds_of_step(model: keras.Model, batches: tf.data.Dataset) -> float:
    """Times a training step of a compiled model, which ends as it began.

    Args:
        model: Compiled.
        batches: Three of them: two to warm up, one that is timed.
    """
    model.optimizer.build(model.trainable_variables)
    state = [*model.variables, *model.optimizer.variables]
    before = [np.asarray(variable) for variable in state]
    clock = _Clock()
    strategy = model.distribute_strategy
    with batch_norm.fast(model), replicas.apart(model):
        model.fit(
            replicas.distributed(batches, strategy),
            steps_per_epoch=replicas.steps(batches, strategy),
            verbose=0,
            shuffle=False,
            callbacks=[clock],
        )
    for variable, value in zip(state, before, strict=True):
        variable.assign(value)
    return clock.times[-1] - clock.times[-2]


class _Clock(keras.callbacks.Callback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        self.times.append(time.perf_counter())


class _Keeper(keras.callbacks.Callback):
    """Writes the checkpoint and the best weights after every epoch."""

    def __init__(self, model: keras.Model, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self._weights = list(model.variables)
        self._state = [*model.variables, *model.optimizer.variables]
        self._best_in_memory: list | None = None
        self.progress = self._restored() or checkpoints.Progress()

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        patience = self._stage.patience
        return (
            patience is not None and self.progress.epochs_since_best >= patience
        )

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Stops at the first loss that is no number."""
        loss = (logs or {}).get("loss", 0.0)
        if not (loss == loss and abs(loss) != float("inf")):
            raise errors.RunError(
                f"The loss became {loss} in stage {self._stage.name}, step "
                f"{batch + 1} of epoch {self.progress.epochs_done + 1}. Use a "
                "smaller --learning_rate; the workdir keeps the epochs before."
            )

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Notes the epoch; keeps its weights if it is the best so far."""
        rows, rank = self.progress.rows, self._stage.rank
        rows.append({name: float(value) for name, value in logs.items()})
        best = self.progress.best
        if rank is None or best is None or rank(rows[-1]) > rank(rows[best]):
            self.progress.best = len(rows) - 1
            self._keep_best()
        if self._stage.folder and self._stage.writes:
            checkpoints.save(self._last, self._state, self.progress)
        if self._stage.report:
            self._stage.report(rows)
        if rank:
            self._log(epoch)
        if self.exhausted:
            logging.info(
                "%s: no better epoch in %d; stopping early",
                self._stage.name,
                self._stage.patience,
            )
            self.model.stop_training = True

    def load_best(self) -> None:
        """Gives the model the weights of its best epoch."""
        if self._stage.rank is None:
            return
        if self._best_in_memory is not None:
            for variable, value in zip(
                self._weights, self._best_in_memory, strict=True
            ):
                variable.assign(value)
        elif self._stage.folder:
            checkpoints.restore(self._best, self._weights)

    @property
    def _last(self) -> pathlib.Path:
        return self._stage.folder / "last.npz"

    @property
    def _best(self) -> pathlib.Path:
        return self._stage.folder / "best.npz"

    def _restored(self) -> checkpoints.Progress | None:
        if not self._stage.folder:
            return None
        return checkpoints.restore(self._last, self._state)

    def _keep_best(self) -> None:
        if self._stage.rank is None:
            return
        if self._stage.folder and self._stage.writes:
            checkpoints.save(self._best, self._weights, self.progress)
        else:
            self._best_in_memory = [
                keras.ops.convert_to_numpy(each) for each in self._weights
            ]

    def _log(self, epoch: int) -> None:
        figures = "  ".join(
            f"{name} {value:.4g}"
            for name, value in self.progress.rows[-1].items()
        )
        star = " *" if self.progress.best == epoch else ""
        logging.info(
            "%s epoch %d/%d  %s%s",
            self._stage.name,
            epoch + 1,
            self._stage.epochs,
            figures,
            star,
        )
