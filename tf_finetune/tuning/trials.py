"""Trials of a study: claimed by a worker, run, told to the engine."""

from typing import TYPE_CHECKING, Any, BinaryIO

from absl import logging

from tf_finetune import errors
from tf_finetune.config import options, train_config, tune_config
from tf_finetune.tuning import (
    base_run,
    engine,
    trial_records,
    trial_run,
)
from tf_finetune.tuning import worker as workers

if TYPE_CHECKING:
    import optuna

# Failures after which a study without any finished trial is given up.
_MAX_FAILURES = 3


def run_trials(worker: workers.Worker) -> None:
    """Runs trials until the study has its number or the time is spent.

    Trials that another process left unfinished come first.

    Args:
        worker: The parts that this process works with.

    Raises:
        DataError: The pictures cannot be used.
        RunError: The first trials all fail, or one was stopped from outside.
    """
    while not worker.is_late:
        claimed = claim_trial(worker)
        if claimed is None:
            return
        trial, lock = claimed
        with lock:
            _run_trial(worker, trial, lock)
        _require_hope(worker)


def claim_trial(
    worker: workers.Worker,
) -> "tuple[optuna.Trial, BinaryIO] | None":
    """Locks an unfinished trial that no process works on, or a new one.

    Args:
        worker: The parts that this process works with.

    Returns:
        The trial, and the open file of its lock; None if the study has its
        number of trials and the unfinished ones are worked on.
    """
    import optuna

    states = optuna.trial.TrialState
    study = worker.study
    # One process at a time: a new trial is locked before another one sees it.
    with worker.folder.lock():
        trials = study.get_trials(deepcopy=False)
        for each in trials:
            if each.state == states.RUNNING:
                lock = worker.folder.try_lock_trial(each.number)
                if lock is not None:
                    logging.info("Trial %d is resumed.", each.number)
                    return optuna.Trial(study, each._trial_id), lock
        made = sum(each.state != states.WAITING for each in trials)
        if made >= worker.config.trials:
            return None
        trial = study.ask()
        lock = worker.folder.try_lock_trial(trial.number)
        if lock is None:
            raise errors.RunError(
                f"Another process holds trial {trial.number} in --study="
                f"{worker.folder.path}, which is new in this --storage. Give "
                "each study its own folder."
            )
        return trial, lock


def find_base_values(
    base: train_config.TrainConfig, config: tune_config.TuneConfig
) -> dict[str, Any]:
    """Returns the base run's values that lie in the search space.

    Args:
        base: Config of the base run.
        config: All options of the command.

    Returns:
        Their values by option, as Optuna stores them: numbers, or the texts of
        choices.
    """
    values = options.collect_values(base)
    return {
        each.option: each.to_drawn(values[each.option])
        for each in config.dimensions
        if each.contains(values[each.option])
    }


def _run_trial(
    worker: workers.Worker, trial: "optuna.Trial", lock: BinaryIO
) -> None:
    """Runs or resumes a trial and tells the engine how it ended."""
    try:
        config = _choose_config(worker, trial)
    except (errors.UsageError, errors.DataError) as error:
        trial_run.tell_failure(worker, trial, "refused", str(error))
        return
    settings = base_run.describe_settings(config, worker.config.dimensions)
    trial.set_user_attr("settings", settings)
    if not _tell_twin(worker, trial, settings):
        trial_run.run_trial(worker, trial, config, lock)


def _choose_config(
    worker: workers.Worker, trial: "optuna.Trial"
) -> train_config.TrainConfig:
    """Draws a trial's values; returns its config."""
    dimensions = worker.config.dimensions
    distributions = engine.make_distributions(dimensions)
    if trial.number == 0:
        # The baseline has the values of the base run; those within the search
        # space are known to the engine.
        inside = find_base_values(worker.base, worker.config)
        engine.suggest(trial, {name: distributions[name] for name in inside})
        return base_run.make_config(worker.base, {})
    drawn = engine.suggest(trial, distributions)
    values = {
        each.option: each.parse(drawn[each.option]) for each in dimensions
    }
    return base_run.make_config(worker.base, values)


def _tell_twin(
    worker: workers.Worker, trial: "optuna.Trial", settings: dict[str, str]
) -> bool:
    """Tells the result of an earlier trial with the same settings, if any."""
    for each in trial_records.list_records(worker.study):
        is_twin = each.settings == settings and each.number < trial.number
        if is_twin and each.outcome == "finished":
            trial.set_user_attr("outcome", "copied")
            trial.set_user_attr("merit", list(each.merit))
            trial.set_user_attr("brief", each.brief)
            trial.set_user_attr(
                "reason", f"same settings as trial {each.number}"
            )
            worker.study.tell(trial, each.value)
            logging.info(
                "Trial %d has the settings of trial %d, and so its result.",
                trial.number,
                each.number,
            )
            return True
    return False


def _require_hope(worker: workers.Worker) -> None:
    """Raises `RunError` if trials have failed and none has ended well."""
    records = trial_records.list_records(worker.study)
    failed = [e for e in records if e.outcome in ("refused", "crashed")]
    ended = [e for e in records if e.outcome != "unfinished"]
    if len(failed) >= _MAX_FAILURES and len(failed) == len(ended):
        log = worker.folder.trial_log(failed[-1].number)
        raise errors.RunError(
            f"All {len(failed)} trials have failed; the last one: "
            f"{failed[-1].reason} Its output is in {log}. Correct the flags or "
            "the search space and choose another --study."
        )
