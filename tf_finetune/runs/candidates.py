"""Candidates for the result of a run, and the choice among them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from absl import logging

from tf_finetune.metrics import candidate_selection
from tf_finetune.model import assembly
from tf_finetune.runs import context as contexts
from tf_finetune.runs import (
    split_evaluation,
)
from tf_finetune.tasks import task as task_contract


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """Model that may become the result of a run.

    Attributes:
        name: "probe" (the solved head on the pretrained backbone), "fine_tune",
            or, of an objective for unlabeled pictures, that with the
            objective's name before it ("fixmatch_fine_tune").
        weights: Values of all weights of the model, in Keras' order.
        evaluations: By split name, the evaluation of each split that was
            predicted; validation is always among them.
    """

    name: str
    weights: Sequence[np.ndarray]
    evaluations: split_evaluation.Evaluations

    @property
    def decision(self) -> Mapping[str, Any]:
        """Values that the task chose on validation (thresholds); or empty."""
        return self.evaluations["validation"].decision


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitResult:
    """Result of both stages of training: fit of the head, then fine-tuning.

    Attributes:
        probe: The solved head on the pretrained backbone, a baseline of every
            run.
        fine_tuned: The fine-tuned model; None where only the head is trained.
        table: Metrics of the fine-tuning epochs, one dict an epoch as in
            `history.make_rows`; empty without fine-tuning.
        cache: "on" if fine-tuning read cached activations, "off" if it read
            pictures; None where there was no fine-tuning.
        stages: Facts of each fit stage, in order, for run.json; empty where
            fine-tuning had one stage.
    """

    probe: Candidate
    fine_tuned: Candidate | None
    table: list[dict]
    cache: Literal["on", "off"] | None = None
    stages: Sequence[Mapping[str, Any]] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """Result of a run: its candidates and the one that is kept.

    Attributes:
        fit_result: The result on labeled pictures alone; its `table` also has
            the epochs on unlabeled pictures.
        chosen: The candidate that is kept.
        beside: Candidates by name ("supervised", and the objective), evaluated
            on every split; empty where the objective gave none, diverged, or
            was not asked for.
        facts: The entry of evaluation.json about unlabeled pictures; None in a
            run on labeled pictures alone.
    """

    fit_result: FitResult
    chosen: Candidate
    beside: Mapping[str, Candidate] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] | None = None

    @property
    def history_stage(self) -> str:
        """Value of the history's column "stage" for the chosen one's epochs."""
        stage = self.chosen.name
        objective = (self.facts or {}).get("objective", "")
        # The history calls its epochs after the objective alone.
        if objective and stage.startswith(f"{objective}_"):
            return objective
        # Of several stages the last one gave the weights.
        if stage == "fine_tune" and self.fit_result.stages:
            return self.fit_result.stages[-1]["name"]
        return stage


def make_candidate(
    context: contexts.RunContext,
    name: str,
    evaluations: split_evaluation.Evaluations,
) -> Candidate:
    """Creates a candidate from a copy of the model's present weights.

    Args:
        context: The run.
        name: "probe" or "fine_tune"; objectives prefix their name later.
        evaluations: Evaluations of these weights by split name.

    Returns:
        A candidate that later training does not change.
    """
    weights = assembly.copy_values(context.assembly.model.weights)
    return Candidate(name=name, weights=weights, evaluations=evaluations)


def select_candidate(
    context: contexts.RunContext, learned: FitResult
) -> Candidate:
    """Selects the probe or the fine-tuned model and assigns its weights.

    The fine-tuned model is kept where it is better than the probe on validation
    beyond chance, or, within chance, by its mean loss (`candidate_selection`).
    One that predicts NaN or infinite values is never kept.

    Args:
        context: The run; its model gets the weights of the candidate.
        learned: Both candidates.

    Returns:
        One of the two candidates; the probe where there is no other.
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
    """Best of several candidates on validation.

    Attributes:
        name: Its key in the mapping that was compared.
        candidate: The candidate.
        text: Metrics of all candidates and the reason, in one line.
    """

    name: str
    candidate: Candidate
    text: str


def compare_candidates(
    candidates: Mapping[str, Candidate], task: task_contract.Task, seed: int
) -> Selection:
    """Selects the best of several candidates by tests on the validation split.

    Each is compared with the best of those before it, in the order of
    `candidates`. A statistically significant difference of the leading metric
    decides, otherwise the lower mean loss; ties go to the earlier one.

    Args:
        candidates: At least one, by name, in order of preference; `figures` of
            each on validation are not None.
        task: The task of the run; it formats the metrics in the result's text.
        seed: Seed of the bootstrap.

    Returns:
        The selected candidate; no weights are assigned.
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
    """Assigns the weights of `chosen` to the model of the run, in place."""
    assembly.assign_values(context.assembly.model.weights, chosen.weights)
