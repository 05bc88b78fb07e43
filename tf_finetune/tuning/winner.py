"""The winner of a study: its flagfile and its figures on test."""

import dataclasses
from typing import Any

from absl import logging

from tf_finetune import errors, files
from tf_finetune.config import options, train_config
from tf_finetune.tuning import child_processes, trial_records
from tf_finetune.tuning import worker as workers
from tf_finetune.workdir import json_schema, recorded_config

_EVALUATION_BYTES = 256 << 20
_SPLITS = json_schema.Record(
    needed={"validation": json_schema.Record()},
    possible={"test": json_schema.Record()},
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Winner:
    """The best trial of a study beside the baseline.

    Attributes:
        trial: The best trial.
        baseline: Trial 0; None if it has no result.
        test: Metrics on the test split by trial number, for both of them;
            empty if the data have none or other processes still run trials.
    """

    trial: trial_records.TrialRecord
    baseline: trial_records.TrialRecord | None
    test: dict[int, dict[str, Any]]


def choose_winner(worker: workers.Worker) -> Winner:
    """Chooses the best trial on validation; only then is test evaluated.

    Args:
        worker: The parts that this process works with.

    Returns:
        The winner, whose flagfile is written to the study's folder.

    Raises:
        RunError: No trial has finished, or the evaluation fails.
    """
    records = trial_records.list_records(worker.study)
    best = trial_records.find_best(records, worker.objective)
    if best is None:
        raise errors.RunError(
            f"No trial of --study={worker.folder.path} has finished yet. "
            "Repeat the command, with more --time_budget if it has one."
        )
    _write_flags(worker, best)
    finished = [each for each in records if each.outcome == "finished"]
    # Trial 0 has the settings of the base run.
    baseline = next((each for each in finished if each.number == 0), None)
    test: dict[int, dict[str, Any]] = {}
    # The test split is looked at once, when no trial can win any more.
    if is_worked_on(worker, records):
        logging.info(
            "Other processes still run trials; the last one evaluates the "
            "winner on the test split."
        )
    else:
        compared = {best.number, *(() if baseline is None else (0,))}
        found = {n: _evaluate(worker, n) for n in sorted(compared)}
        test = {n: each["test"] for n, each in found.items() if "test" in each}
    return Winner(trial=best, baseline=baseline, test=test)


def is_worked_on(
    worker: workers.Worker, records: list[trial_records.TrialRecord]
) -> bool:
    """Returns whether another process runs one of the unfinished trials.

    Args:
        worker: The parts that this process works with.
        records: The trials of the study.
    """
    for each in records:
        if each.outcome == "unfinished":
            lock = worker.folder.try_lock_trial(each.number)
            # The process that runs a trial holds its lock.
            if lock is None:
                return True
            lock.close()
    return False


def _write_flags(
    worker: workers.Worker, best: trial_records.TrialRecord
) -> None:
    """Writes the flagfile that trains the winner again, test included."""
    folder = worker.folder
    config = options.replace(
        recorded_config.load_recorded_config(folder.workdir(best.number)),
        workdir=str(folder.path / "best"),
        # Trials do without the test split; the winner is evaluated on it.
        withhold_test=False,
    )
    text = (
        f"# The best of the trials in {folder.path.name}, trial {best.number}: "
        f"{best.brief} on validation.\n"
        "# Trains it again, with the test split: python -m tf_finetune.train "
        "--flagfile=best.flags --workdir=ANOTHER\n"
    )
    files.write_text(folder.best_flags, text + options.to_flagfile(config))


def _evaluate(worker: workers.Worker, number: int) -> dict[str, Any]:
    """Returns the metrics of a trial by split; computes them once."""
    folder = worker.folder
    path = folder.evaluation(number)
    if not path.exists():
        logging.info("Evaluating trial %d on all splits.", number)
        log = folder.trial_log(number)
        child = worker.start(_list_words(worker, number), log, ())
        status = child_processes.wait(child, lambda: False)
        if status:
            reason = child_processes.read_reason(log)
            raise errors.RunError(
                f"Trial {number} cannot be evaluated: {reason} ({log})"
            )
    return json_schema.read_json(
        path, _SPLITS, within=folder.path, limit=_EVALUATION_BYTES
    )


def _list_words(worker: workers.Worker, number: int) -> list[str]:
    """Returns the command that evaluates a trial's run, with its flags."""
    # Parts of the user's own were named in this command, or its flagfile.
    allowed = train_config.list_own_parts(worker.base).values()
    output = worker.base.output
    return [
        "evaluate",
        f"--workdir={worker.folder.workdir(number).path}",
        f"--output={worker.folder.evaluation(number)}",
        f"--cache_dir={output.cache_dir}",
        *([f"--allow_parts={','.join(allowed)}"] if allowed else []),
    ]
