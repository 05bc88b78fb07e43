"""The run of one trial: a child process, watched epoch by epoch."""

import math
import shutil
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from absl import logging

from tf_finetune import errors, files
from tf_finetune.config import options, train_config
from tf_finetune.training import history
from tf_finetune.tuning import child_processes
from tf_finetune.tuning import worker as workers
from tf_finetune.workdir import json_schema, workdir_files

if TYPE_CHECKING:
    import optuna

_USAGE_STATUS = 2
# A trial that is begun this often without a further epoch is given up: it may
# be what ends its worker.
_MAX_STARTS = 4
_VALIDATION = {"validation": json_schema.Record()}


def run_trial(
    worker: workers.Worker,
    trial: "optuna.Trial",
    config: train_config.TrainConfig,
    lock: BinaryIO,
) -> None:
    """Runs a trial to its end in a child process and reports it to Optuna.

    A trial that the time budget stops is not reported, and can be resumed.

    Args:
        worker: The parts that this process works with.
        trial: The trial, which has its values.
        config: Config of its run.
        lock: The open file of its lock, which the child holds, too: should it
            outlive this process, nobody else works in its folder.

    Raises:
        DataError: The baseline is refused.
        RunError: The trial was stopped from outside.
    """
    place = worker.folder.workdir(trial.number)
    watch = _Watch(worker, trial, place)
    if not place.is_finished:
        if _is_stuck(trial, watch.epochs_done):
            reason = f"it was begun {_MAX_STARTS} times without a new epoch."
            tell_failure(worker, trial, "crashed", reason)
            return
        status = _run_child(worker, trial, config, lock, watch)
        watch.report_epochs()
        if not place.is_finished:
            _tell_end(worker, trial, status, watch)
            return
    _tell_result(worker, trial, place)


def tell_failure(
    worker: workers.Worker,
    trial: "optuna.Trial",
    outcome: Literal["refused", "crashed"],
    reason: str,
) -> None:
    """Reports to Optuna that a trial has failed, and logs it.

    Args:
        worker: The parts that this process works with.
        trial: The trial.
        outcome: Whether its settings are impossible or its process failed.
        reason: Why, as a sentence.
    """
    from optuna import trial as trials

    trial.set_user_attr("outcome", outcome)
    trial.set_user_attr("reason", reason)
    worker.study.tell(trial, state=trials.TrialState.FAIL)
    logging.warning("Trial %d %s: %s", trial.number, _WORDS[outcome], reason)


_WORDS = {"refused": "was refused", "crashed": "has failed"}


class _Watch:
    """Reports the epochs of a running trial; says when it must stop."""

    def __init__(
        self,
        worker: workers.Worker,
        trial: "optuna.Trial",
        place: workdir_files.Workdir,
    ) -> None:
        self._worker = worker
        self._trial = trial
        self._place = place
        self._stamp: int | None = None
        known = worker.study.get_trials(deepcopy=False)[trial.number]
        self._reported = {*known.intermediate_values}
        self.is_pruned = False

    @property
    def epochs_done(self) -> int:
        """Number of epochs that the engine knows of."""
        return len(self._reported)

    def look(self) -> bool:
        """Reports new epochs; returns whether the trial must stop."""
        if self.report_epochs():
            self.is_pruned = self._trial.should_prune()
        return self.is_pruned or self._worker.is_late

    def report_epochs(self) -> bool:
        """Reports epochs that the engine does not know; tells if there are."""
        path = self._place.history
        try:
            stamp = path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        # Over all stages: a trial's epochs are counted through.
        rows = enumerate(history.read(path), start=1)
        new = [(n, row) for n, row in rows if n not in self._reported]
        for number, row in new:
            value = self._worker.objective.rank_epoch(row)
            self._trial.report(value, number)
            self._reported.add(number)
        return bool(new)


def _is_stuck(trial: "optuna.Trial", epochs_done: int) -> bool:
    """Tells if a trial was begun often without progress; counts this time."""
    starts = [*trial.user_attrs.get("starts", ()), epochs_done]
    trial.set_user_attr("starts", starts)
    recent = starts[-_MAX_STARTS - 1 :]
    return len(recent) > _MAX_STARTS and len({*recent}) == 1


def _run_child(
    worker: workers.Worker,
    trial: "optuna.Trial",
    config: train_config.TrainConfig,
    lock: BinaryIO,
    watch: _Watch,
) -> int | None:
    """Runs a trial's command; returns its status, None if it was stopped."""
    number, folder = trial.number, worker.folder
    flags = folder.trial_flags(number)
    files.write_text(flags, options.to_flagfile(config))
    settings = trial.user_attrs["settings"]
    logging.info(
        "Trial %d of %d%s: %s.",
        number,
        worker.config.trials,
        ", the baseline" if number == 0 else "",
        ", ".join(f"{name}={text}" for name, text in settings.items()),
    )
    trial.set_user_attr("worker", child_processes.describe_host())
    child = worker.start(
        [
            "train",
            f"--flagfile={flags}",
            f"--workdir={folder.workdir(number).path}",
        ],
        folder.trial_log(number),
        [lock.fileno()],
    )
    return child_processes.wait(child, watch.look)


def _tell_end(
    worker: workers.Worker,
    trial: "optuna.Trial",
    status: int | None,
    watch: _Watch,
) -> None:
    """Tells the engine of a run that has not finished."""
    from optuna import trial as trials

    log = worker.folder.trial_log(trial.number)
    if watch.is_pruned:
        worker.study.tell(trial, state=trials.TrialState.PRUNED)
        # Nobody resumes it.
        checkpoints = worker.folder.workdir(trial.number).checkpoints
        shutil.rmtree(checkpoints, ignore_errors=True)
        logging.info(
            "Trial %d is pruned after epoch %d.",
            trial.number,
            watch.epochs_done,
        )
        return
    if status is None:
        logging.info(
            "--time_budget is spent; the same command resumes trial %d.",
            trial.number,
        )
        return
    if child_processes.is_stop(status):
        raise errors.RunError(
            f"Trial {trial.number} was stopped from outside; the same command "
            "resumes it."
        )
    reason = child_processes.read_reason(log)
    if status == _USAGE_STATUS and trial.number == 0:
        # Left unfinished: once the data are corrected, it is begun again.
        raise errors.DataError(f"The base run is refused: {reason}")
    if status == _USAGE_STATUS:
        tell_failure(worker, trial, "refused", reason)
        return
    if status < 0:
        reason = child_processes.describe_status(status)
    tell_failure(worker, trial, "crashed", f"{reason} ({log})")


def _tell_result(
    worker: workers.Worker,
    trial: "optuna.Trial",
    place: workdir_files.Workdir,
) -> None:
    """Tells the engine the result of a finished run."""
    objective = worker.objective
    validation: dict[str, Any] = place.figures(_VALIDATION)["validation"]
    value = objective.read_value(validation)
    if math.isnan(value):
        reason = "its metric on validation is undefined."
        tell_failure(worker, trial, "crashed", reason)
        return
    brief = objective.figures.format_brief(validation)
    trial.set_user_attr("merit", list(objective.figures.merit(validation)))
    trial.set_user_attr("brief", brief)
    worker.study.tell(trial, value)
    logging.info("Trial %d: %s on validation.", trial.number, brief)
