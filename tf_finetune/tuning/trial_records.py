"""Records of the trials of a study, independent of the engine."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tf_finetune.tuning import objective as objectives

if TYPE_CHECKING:
    import optuna

Outcome = Literal[
    "finished", "copied", "pruned", "refused", "crashed", "unfinished"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial: its settings and its result on validation.

    Attributes:
        number: Number of the trial; 0 is the baseline.
        outcome: How it ended. "copied": its settings are those of an earlier
            trial, whose result it has; "refused": they are impossible;
            "pruned": it was stopped early, being worse than others.
        settings: Texts of the searched options, by name.
        value: The metric on validation; None unless it has a result.
        merit: The task's sort key of its validation metrics; empty likewise.
        brief: Its main validation metrics in a few words; empty likewise.
        epochs: By epoch, from 1, the value that pruning compares.
        seconds: From its start to its end; None: unfinished.
        reason: Why it was refused or crashed, or which trial it repeats.
        run: Number of the trial whose folder holds its run.
    """

    number: int
    outcome: Outcome
    settings: Mapping[str, str]
    value: float | None
    merit: tuple[float, ...]
    brief: str
    epochs: Mapping[int, float]
    seconds: float | None
    reason: str
    run: int

    def to_json(self) -> dict[str, Any]:
        """Returns the entry in study.json; docs/tuning.md lists its keys."""
        return {
            "number": self.number,
            "outcome": self.outcome,
            "settings": dict(self.settings),
            "value": self.value,
            "validation": self.brief or None,
            "epochs": len(self.epochs),
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "reason": self.reason or None,
        }


def list_records(study: "optuna.Study") -> list[TrialRecord]:
    """Lists the trials of a study that have begun, by number."""
    from optuna import trial

    return [
        _make_record(each)
        for each in study.get_trials(deepcopy=False)
        if each.state != trial.TrialState.WAITING
    ]


def find_best(
    records: Sequence[TrialRecord], objective: objectives.Objective
) -> TrialRecord | None:
    """Returns the best finished trial, the first of equal ones.

    Args:
        records: Trials, the baseline first.
        objective: The metric of the study.

    Returns:
        The trial; None if none has finished.
    """
    finished = [each for each in records if each.outcome == "finished"]
    return max(
        finished,
        key=lambda each: objective.sort_key(each.value, each.merit),
        default=None,
    )


def _make_record(each: "optuna.trial.FrozenTrial") -> TrialRecord:
    from optuna import trial

    facts = each.user_attrs
    usual: dict[Any, Outcome] = {
        trial.TrialState.COMPLETE: "finished",
        trial.TrialState.PRUNED: "pruned",
        trial.TrialState.FAIL: "crashed",
    }
    outcome = usual.get(each.state, "unfinished")
    if each.state.is_finished():
        outcome = facts.get("outcome", outcome)
    is_complete = each.state == trial.TrialState.COMPLETE
    seconds = each.duration.total_seconds() if each.duration else None
    return TrialRecord(
        number=each.number,
        outcome=outcome,
        settings=facts.get("settings", {}),
        value=each.value if is_complete else None,
        merit=tuple(facts.get("merit", ())),
        brief=facts.get("brief", ""),
        epochs=dict(each.intermediate_values),
        seconds=seconds,
        reason=facts.get("reason", ""),
        run=facts.get("run", each.number),
    )
