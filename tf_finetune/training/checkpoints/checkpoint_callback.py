"""Callback that saves checkpoints and recovers from divergence."""

import math
import signal
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors, shutdown
from tf_finetune.data import progress as bars
from tf_finetune.model import assembly
from tf_finetune.training import fit_stage as stages
from tf_finetune.training.checkpoints import checkpoint_store, divergence
from tf_finetune.training.distributed import replicas, strategies


class CheckpointCallback(keras.callbacks.Callback):
    """Writes checkpoints and best weights; stops at a NaN or infinite loss.

    It acts after every step (checks the loss; every `checkpoint_every_steps`
    steps, and when the process is asked to stop, writes a checkpoint) and after
    every epoch (logs metrics, writes the best weights and a checkpoint).

    Args:
        model: Compiled model, its optimizer built; its variables are restored.
        stage: The stage to train; without a folder nothing is written.
        request: Stop signal that this process may receive.

    Attributes:
        progress: Finished epochs and steps of the stage.
    """

    def __init__(
        self,
        model: keras.Model,
        stage: stages.FitStage,
        request: shutdown.StopRequest,
    ) -> None:
        """Restores an interrupted stage, else writes a first checkpoint."""
        super().__init__()
        self._stage = stage
        self._trained = model
        self._request = request
        constant = {id(each) for each in stage.constant}
        moving = [v for v in model.variables if id(v) not in constant]
        self._state = [*moving, *model.optimizer.variables]
        self._weights = self._state if stage.keeps_optimizer else moving
        self._strategy = model.distribute_strategy
        self._is_shared = replicas.find_worker(self._strategy)[1] > 1
        if self._is_shared:
            model.is_stop_requested = lambda: request.number is not None
        self._rate = divergence.LearningRateScaler(model.optimizer)
        self._best_in_memory: list[np.ndarray] | None = None
        self._sums: list[np.ndarray] = []
        self._first_step = 0
        self._batches: tf.data.Dataset | None = None
        self.progress = checkpoint_store.Progress()
        self._checkpoints: checkpoint_store.CheckpointStore | None = None
        if stage.folder:
            self._open_checkpoints(stage)

    def _open_checkpoints(self, stage: stages.FitStage) -> None:
        """Restores the newest checkpoint, or writes a first one."""
        self._checkpoints = checkpoint_store.CheckpointStore(
            stage.folder,
            state=self._state,
            weights=self._weights,
            keep=stage.keep_checkpoints,
            writes=stage.writes,
        )
        is_new = not self._restore()
        found = self.progress
        strategies.require_same(
            self._strategy, [found.epochs_done, found.step, found.recoveries]
        )
        # A first checkpoint, so that a failure in epoch 1 is recoverable.
        if is_new:
            self._checkpoints.save(self.progress, [])

    def set_batches(self, batches: tf.data.Dataset) -> None:
        """Sets the training batches that `fit` is about to read."""
        self._batches = batches

    @property
    def is_done(self) -> bool:
        """Whether all epochs are trained, or patience has run out."""
        patience = self._stage.patience
        is_exhausted = (
            patience is not None and self.progress.epochs_since_best >= patience
        )
        return is_exhausted or self.progress.epochs_done >= self._stage.epochs

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Restores the running metrics of an epoch that was interrupted."""
        self._first_step = self.progress.step
        if self._sums:
            if self._strategy.num_replicas_in_sync == 1:
                stages.build_metrics(self.model, self._batches)
            variables = stages.list_metric_variables(self.model)
            checkpoint_store.restore_sums(variables, self._sums)
        self._sums = []

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Checks the loss of a step; writes a checkpoint if one is due.

        Raises:
            DivergedError: The loss, or a weight before a checkpoint, is NaN or
                infinite.
            SignalExit, KeyboardExit: The process was asked to stop.
        """
        place = self._step_position(self._first_step + batch)
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            raise divergence.DivergedError(place)
        self.progress.step = self._first_step + batch + 1
        if self.progress.step == self._stage.steps_per_epoch:
            return  # `on_epoch_end` acts after the epoch's validation.
        every = self._stage.checkpoint_every_steps
        is_asked = self._is_stop_requested()
        if is_asked or (every and self.progress.step % every == 0):
            self._save(place, stages.list_metric_variables(self.model))
        if is_asked:
            self._stop_process()

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Records the epoch; saves its weights if it is the best so far."""
        self._require_finite(
            self._step_position(self._stage.steps_per_epoch - 1)
        )
        progress, rank = self.progress, self._stage.rank
        progress.rows.append({k: float(value) for k, value in logs.items()})
        progress.step = 0
        rows, best = progress.rows, progress.best
        if rank and (best is None or rank(rows[-1]) > rank(rows[best])):
            progress.best = len(rows) - 1
            self._save_best()
        # The best weights may be averages; the checkpoint holds the weights.
        if self._stage.averages:
            self._stage.averages.restore_weights()
        if self._checkpoints:
            self._checkpoints.save(progress, [])
        if self._stage.report:
            self._stage.report(rows)
        if rank:
            self._log(epoch)
        if strategies.is_true_anywhere(
            self._strategy, here=self._request.number is not None
        ):
            self._stop_process()
        if self.is_done and progress.epochs_done < self._stage.epochs:
            logging.info(
                "%s: no better epoch in %d; stopping early",
                self._stage.name,
                self._stage.patience,
            )
        self.model.stop_training = self.is_done

    def recover(self, diverged: divergence.DivergedError) -> None:
        """Restores the last checkpoint and halves the learning rate.

        Raises:
            DivergenceError: Recoveries are used up, or no checkpoint is there;
                the message names the origin of the failure.
        """
        recoveries = self.progress.recoveries + 1
        if self._stage.averages:
            self._stage.averages.restore_weights()
        is_allowed = recoveries <= self._stage.max_recoveries
        if not (self._checkpoints and is_allowed and self._restore()):
            raise errors.DivergenceError(self._explain(diverged.place))
        self.progress.recoveries = recoveries
        strategies.wait_for_all(
            self._strategy
        )  # Until all have read what is replaced.
        self._checkpoints.save(self.progress, self._sums)
        self._scale_learning_rate()
        logging.warning(
            "The loss became NaN or infinite at %s; going back to step %d of "
            "epoch %d with the learning rate times %g (%d of "
            "--max_recoveries=%d)",
            diverged.place,
            self.progress.step,
            self.progress.epochs_done + 1,
            0.5**recoveries,
            recoveries,
            self._stage.max_recoveries,
        )

    def load_best(self) -> None:
        """Loads the best epoch's weights; without ranking nothing is loaded."""
        if self.progress.best is None:
            return
        if self._best_in_memory is not None:
            assembly.assign_values(self._weights, self._best_in_memory)
        elif self._checkpoints:
            self._checkpoints.load_best(self.progress.best)

    def _is_stop_requested(self) -> bool:
        """Whether to stop after this step.

        All workers stop after the same step: a checkpoint reads variables of
        all of them, which one cannot do alone.
        """
        if self._is_shared:
            return self._trained.is_any_stop_requested
        return self._request.number is not None

    def _stop_process(self) -> None:
        """Ends the process once the chief has written its checkpoint."""
        strategies.wait_for_all(self._strategy)
        if self._request.number is None:
            logging.info("Another worker was asked to stop; all of them stop.")
            self._request.number = signal.SIGTERM
        self._request.raise_if_requested()

    def _restore(self) -> bool:
        restored = self._checkpoints.restore()
        if restored is None:
            return False
        restored.require(self._stage.steps_per_epoch, self._stage.rank)
        self.progress, self._sums = restored.progress, restored.sums
        self._scale_learning_rate()
        return True

    def _scale_learning_rate(self) -> None:
        is_news = self._rate.scale(0.5**self.progress.recoveries)
        if is_news and self._trained.train_function is not None:
            self._trained.make_train_function(force=True)

    def _save(
        self, place: divergence.StepPosition, sums: list[tf.Variable]
    ) -> None:
        self._require_finite(place)
        if self._checkpoints:
            self._checkpoints.save(self.progress, [*map(np.asarray, sums)])

    def _require_finite(self, place: divergence.StepPosition) -> None:
        """Raises before NaN or infinite weights get into a checkpoint."""
        if self._checkpoints and divergence.has_non_finite_weight(
            self._trained
        ):
            raise divergence.DivergedError(place)

    def _step_position(self, step: int) -> divergence.StepPosition:
        return divergence.StepPosition(
            stage=self._stage.name,
            epoch=self.progress.epochs_done,
            step=step,
        )

    def _explain(self, place: divergence.StepPosition) -> str:
        origin = ""
        # A step of several replicas cannot be replayed here.
        is_alone = self._strategy.num_replicas_in_sync == 1
        if is_alone and self._checkpoints and self._restore():
            origin = divergence.find_origin(
                self._trained,
                self._stage,
                start=self.progress,
                failed=place,
            )
        tried, recoveries = "", self.progress.recoveries
        if recoveries:
            tried = f", even with the learning rate halved {recoveries} times"
        return (
            f"The loss became NaN or infinite at {place}{tried}. {origin}Use a "
            "smaller --learning_rate; the workdir keeps the earlier epochs."
        )

    def _save_best(self) -> None:
        if self._checkpoints and self._stage.writes:
            self._checkpoints.save_best(self.progress.best)
        else:
            self._best_in_memory = [
                keras.ops.convert_to_numpy(each) for each in self._weights
            ]

    def _log(self, epoch: int) -> None:
        figures = "  ".join(
            f"{name} {value:.4g}"
            for name, value in self.progress.rows[-1].items()
        )
        bars.report(
            "%s epoch %d/%d  %s%s",
            self._stage.name,
            epoch + 1,
            self._stage.epochs,
            figures,
            " *" if self.progress.best == epoch else "",
        )
