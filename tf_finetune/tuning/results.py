"""Results of a study: study.json, the web page and the sentences for people."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tf_finetune import files
from tf_finetune.tuning import trial_records
from tf_finetune.tuning import winner as winners
from tf_finetune.tuning import worker as workers
from tf_finetune.workdir import json_schema

if TYPE_CHECKING:
    import optuna

_VALIDATION = {"validation": json_schema.Record()}
# Different results, below which importance is noise.
_FEWEST_RESULTS = 4


def write_results(worker: workers.Worker) -> dict[str, Any]:
    """Writes best.flags, study.json and study.html of a study.

    Args:
        worker: The parts that this process works with.

    Returns:
        The content of study.json; docs/tuning.md lists its keys.

    Raises:
        RunError: No trial has finished.
    """
    # One process at a time, so that test is evaluated once.
    with worker.folder.lock("results"):
        winner = winners.choose_winner(worker)
        records = trial_records.list_records(worker.study)
        content = _build_json(worker, winner, records)
        # Loading the plotting library takes a second.
        from tf_finetune.tuning import study_page

        page = study_page.build_page(worker, winner, records, content)
        files.write_text(worker.folder.page, page)
        files.write_json(worker.folder.results, content)
    return content


def _build_json(
    worker: workers.Worker,
    winner: winners.Winner,
    records: Sequence[trial_records.TrialRecord],
) -> dict[str, Any]:
    objective, figures = worker.objective, worker.objective.figures
    numbers = [winner.trial.number]
    if winner.baseline is not None:
        numbers.append(0)
    of_validation = {n: _read_validation(worker, n) for n in numbers}
    return {
        "version": 1,
        "metric": objective.name_metric(of_validation[numbers[0]]),
        "direction": objective.direction,
        "search": [each.text for each in worker.config.dimensions],
        "winner": winner.trial.number,
        "workdir": worker.folder.workdir(winner.trial.number).path.name,
        "best_flags": worker.folder.best_flags.name,
        "validation": {
            str(n): figures.summary(each) for n, each in of_validation.items()
        },
        "test": {
            str(n): figures.summary(each) for n, each in winner.test.items()
        },
        "summary": _summarize(worker, winner, records, of_validation),
        "importance": compute_importance(worker.study),
        "trials": [each.to_json() for each in records],
    }


def _read_validation(worker: workers.Worker, number: int) -> dict[str, Any]:
    return worker.folder.workdir(number).figures(_VALIDATION)["validation"]


def _summarize(
    worker: workers.Worker,
    winner: winners.Winner,
    records: Sequence[trial_records.TrialRecord],
    of_validation: Mapping[int, Mapping[str, Any]],
) -> list[str]:
    """Returns sentences on the trials, the winner and the baseline."""
    outcomes = [each.outcome for each in records]
    counts = ", ".join(
        f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes)
    )
    best = winner.trial
    found = [f"{len(records)} trials: {counts}."]
    if best.number == 0:
        found.append(
            "No trial beats the baseline, the flags as they were given."
        )
    else:
        settings = ", ".join(f"{k}={v}" for k, v in best.settings.items())
        found.append(f"Trial {best.number} is the best: {settings}.")
    compared = _compare(worker, best.number, of_validation, "validation")
    caution = (
        " The best of several trials is too good on validation, by which it "
        "was chosen."
    )
    found.append(compared + caution * (best.number != 0))
    if winner.test:
        found.append(_compare(worker, best.number, winner.test, "test"))
    return found


def _compare(
    worker: workers.Worker,
    best: int,
    by_trial: Mapping[int, Mapping[str, Any]],
    split: str,
) -> str:
    """Returns a sentence on the winner's and the baseline's metrics."""
    figures = worker.objective.figures
    sentence = f"On {split}: {figures.format_brief(by_trial[best])}"
    if best == 0 or 0 not in by_trial:
        return f"{sentence}."
    other = figures.format_brief(by_trial[0])
    interval = figures.describe_difference(by_trial[best], by_trial[0])
    return f"{sentence}; baseline: {other}" + (
        f"; {interval}." if interval else "."
    )


def compute_importance(study: "optuna.Study") -> dict[str, float]:
    """Computes the importance of the searched options for the metric.

    Args:
        study: The study.

    Returns:
        Shares that add up to 1, by option, the largest first; empty where too
        few trials have finished, or all have one result.

    Source: Watanabe et al. 2023, "PED-ANOVA: Efficiently Quantifying
    Hyperparameter Importance in Arbitrary Subspaces", Optuna's evaluator.
    """
    from optuna import importance, trial

    finished = study.get_trials(
        deepcopy=False, states=(trial.TrialState.COMPLETE,)
    )
    # The evaluator compares the better trials with all of them.
    if len({each.value for each in finished if each.params}) < _FEWEST_RESULTS:
        return {}
    try:
        found = importance.get_param_importances(study)
    except (ValueError, RuntimeError):
        return {}  # It refuses spaces in which nothing varied.
    return {name: round(float(share), 4) for name, share in found.items()}
