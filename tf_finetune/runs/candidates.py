"""Candidates for the result of a run, and the choice among them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from absl import logging

from tf_finetune.metrics import candidate_selection
from tf_finetune.model import weight_snapshot
from tf_finetune.runs import context as contexts
from tf_finetune.runs import (
    split_evaluation,
)
from tf_finetune.tasks import task as task_contract


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that may become the result.

    Attributes:
        name: "probe" (the pretrained backbone under the solved head) or
            "fine_tune".
        weights: Of the whole model.
        evaluations: The evaluation of each split that it has predicted.
    """

    name: str
    weights: Sequence[np.ndarray]
    evaluations: split_evaluation.Evaluations

    @property
    def decision(self) -> Mapping[str, Any]:
        """The task's decision on validation, such as thresholds."""
        return self.evaluations["validation"].decision


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitResult:
    """Result of the two training stages, head and fine-tuning.

    Attributes:
        probe: The solved head, a baseline of every run.
        fine_tuned: None where only the head is trained.
        table: The history of the epochs.
        cache: "on" if fine-tuning read the cache, else "off"; None where
            there was no fine-tuning.
    """

    probe: Candidate
    fine_tuned: Candidate | None
    table: list[dict]
    cache: Literal["on", "off"] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """Result of a run: its candidates and the one that is kept.

    Attributes:
        fit_result: The result on labeled pictures alone; with the whole
            history.
        chosen: The candidate that is kept.
        beside: By name, the candidates, evaluated on every split; empty in a
            run on labeled pictures alone.
        facts: The entry of evaluation.json about unlabeled pictures.
    """

    fit_result: FitResult
    chosen: Candidate
    beside: Mapping[str, Candidate] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] | None = None


def make_candidate(
    context: contexts.RunContext,
    name: str,
    evaluations: split_evaluation.Evaluations,
) -> Candidate:
    """Creates a candidate from a copy of the model's present weights."""
    weights = weight_snapshot.copy_values(context.assembly.model.weights)
    return Candidate(name=name, weights=weights, evaluations=evaluations)


def select_candidate(
    context: contexts.RunContext, learned: FitResult
) -> Candidate:
    """Selects probe or fine-tuned model on validation; assigns its weights.

    Fine-tuning is kept where it is better than the probe beyond chance, or,
    within chance, by its mean loss (`candidate_selection`).
    """
    if learned.fine_tuned is None:
        return learned.probe
    # Predictions that are not finite have no figures.
    chosen = learned.probe
    if learned.fine_tuned.evaluations["validation"].figures is not None:
        both = (learned.probe, learned.fine_tuned)
        selection = compare_candidates(
            {each.name: each for each in both},
            context.task,
            context.config.seed,
        )
        logging.info("%s", selection.text)
        chosen = selection.candidate
    else:
        logging.warning(
            "fine-tuning diverged: the model's predictions are NaN or "
            "infinite. The probe is kept; try a lower --learning_rate."
        )
    assign_candidate(context, chosen)
    return chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """The better one of some candidates on validation.

    Attributes:
        name: Of the candidate.
        candidate: It.
        text: The figures of all and the reason, in one line.
    """

    name: str
    candidate: Candidate
    text: str


def compare_candidates(
    candidates: Mapping[str, Candidate], task: task_contract.Task, seed: int
) -> Selection:
    """Selects a candidate by its evaluation on validation.

    Args:
        candidates: By name; each has figures of validation.
        task: The task of the run.
        seed: Of the bootstrap.
    """
    found = {n: e.evaluations["validation"] for n, e in candidates.items()}
    kept = candidate_selection.select_candidate(
        {name: each.evidence() for name, each in found.items()}, seed=seed
    )
    brief = task.figures.format_brief
    figures = ", ".join(f"{n} {brief(e.figures)}" for n, e in found.items())
    return Selection(
        name=kept.name,
        candidate=candidates[kept.name],
        text=f"on validation: {figures}; kept: {kept.name} ({kept.reason})",
    )


def assign_candidate(context: contexts.RunContext, chosen: Candidate) -> None:
    """Gives the model the weights of a candidate."""
    weight_snapshot.assign_values(
        context.assembly.model.weights, chosen.weights
    )
