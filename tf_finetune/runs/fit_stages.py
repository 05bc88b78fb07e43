"""The two training stages of a run, and the choice of the better model."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
from absl import logging

from tf_finetune.evaluation import candidate_selection
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import inference
from tf_finetune.runs import boundary_activations as crossings
from tf_finetune.runs import (
    cache_check,
    cache_choice,
    head_solution,
    run_cache,
)
from tf_finetune.runs import context as contexts
from tf_finetune.tasks import evaluate_split
from tf_finetune.training import fine_tuning, head_fit, history
from tf_finetune.training.distributed import replicas, workers


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
    evaluations: Mapping[str, evaluate_split.SplitEvaluation]

    @property
    def decision(self) -> Mapping[str, Any]:
        """The task's decision on validation, such as thresholds."""
        return self.evaluations["validation"].decision


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitResult:
    """The result of both stages.

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


def run_stages(context: contexts.RunContext) -> FitResult:
    """Solves the head on cached features, then fine-tunes."""
    learnt = _run_stages(context)
    workers.wait_for_all(context.strategy)
    return learnt


def _run_stages(context: contexts.RunContext) -> FitResult:
    cache = context.cache
    # Before the head is solved, for --head_init=random.
    fresh_head = context.assembly.head.get_weights()
    crossing = None
    # The chief fills the cache and decides; then the others read both.
    with workers.run_chief_first(context.strategy):
        if not context.is_chief:
            cache.refresh()
        choice = cache_choice.choose_input(context)
        cache.fill_features(context.data.pictures, with_rows=choice.reads_cache)
        probe = _fit_probe(
            context, run_cache.split_rows(cache.features, context.data)
        )
        if context.fine_tunes and choice.reads_cache:
            crossing = crossings.compute_activations(context)
    if not context.fine_tunes:
        return FitResult(probe=probe, fine_tuned=None, table=[])
    # Kumar et al. 2022, section 3.4 (LP-FT): by default fine-tuning starts
    # from the solved head, whose gradients do not distort the features.
    if context.config.training.head_init == "random":
        context.assembly.head.set_weights(fresh_head)
    table = _fine_tune(context, crossing, choice.trainer)
    if crossing:
        judged = _evaluate_splits(
            context, crossing.rows, lambda s: crossing.stream_logits(context, s)
        )
    else:
        found = context.predict("validation")
        judged = {"validation": context.judge("validation", found)}
    # Copies: the model's weights change again before the choice.
    tuned = Candidate(
        name="fine_tune",
        weights=context.assembly.model.get_weights(),
        evaluations=judged,
    )
    return FitResult(
        probe=probe,
        fine_tuned=tuned,
        table=table,
        cache="on" if crossing else "off",
    )


def select_candidate(
    context: contexts.RunContext, learnt: FitResult
) -> Candidate:
    """Gives the model the better weights on validation and returns them.

    Fine-tuning is kept where it is better than the probe beyond chance, or,
    within chance, by its mean loss (`choices`).
    """
    if learnt.fine_tuned is None:
        return learnt.probe
    # Predictions that are not finite have no figures.
    chosen = learnt.probe
    if learnt.fine_tuned.evaluations["validation"].figures is not None:
        chosen = _select_better(context, (learnt.probe, learnt.fine_tuned))
    else:
        logging.warning(
            "fine-tuning diverged: the model gives no finite predictions. The "
            "probe is kept; try a lower --learning_rate."
        )
    context.assembly.model.set_weights(list(chosen.weights))
    return chosen


def _select_better(
    context: contexts.RunContext, candidates: Sequence[Candidate]
) -> Candidate:
    by_name = {each.name: each for each in candidates}
    judged = {name: e.evaluations["validation"] for name, e in by_name.items()}
    kept = candidate_selection.select_candidate(
        {name: each.evidence() for name, each in judged.items()},
        seed=context.config.seed,
    )
    brief = context.task.figures.format_brief
    logging.info(
        "%s",
        format_selection(
            {n: brief(e.figures) for n, e in judged.items()}, kept
        ),
    )
    return by_name[kept.name]


def format_selection(
    said: Mapping[str, str], kept: candidate_selection.Selection
) -> str:
    """Returns a choice on validation in one line.

    Args:
        said: The figures of each candidate, in a few words.
        kept: The chosen one, and why.
    """
    results = ", ".join(f"{name} {text}" for name, text in said.items())
    return f"on validation: {results}; kept: {kept.name} ({kept.reason})"


def _fit_probe(
    context: contexts.RunContext, features: Mapping[str, stores.Rows]
) -> Candidate:
    solution = head_solution.solve_head(context, features["train"])
    head_fit.set_solution(context.assembly.head, solution)
    # The head alone: its inputs are in the cache.
    solved = inference.compile_step(context.assembly.head)
    judged = _evaluate_splits(
        context,
        features,
        lambda s: _stream_head_logits(context, solved, features[s]),
    )
    return Candidate(
        name="probe",
        weights=context.assembly.model.get_weights(),
        evaluations=judged,
    )


def _stream_head_logits(
    context: contexts.RunContext, solved: inference.Step, rows: stores.Rows
) -> Iterator[np.ndarray]:
    tensors = context.assembly.features.tensors
    for block in rows.iterate_blocks():
        yield np.asarray(inference.apply_step(solved, tensors(block)))


def _evaluate_splits(
    context: contexts.RunContext,
    splits: Iterable[str],
    logits_of: Callable[[str], Iterator[np.ndarray]],
) -> dict[str, evaluate_split.SplitEvaluation]:
    """Evaluates splits from cached rows, validation first.

    On its first pictures the whole model is compared with the cached path;
    and the task's decision on it, such as thresholds, holds for the others.
    """
    finish = context.task.network.finish
    # The first batch is compared with the whole model, then put back.
    logits = logits_of("validation")
    first = next(logits)
    cache_check.check_logits(context, first)
    logits = itertools.chain([first], logits)
    validation = context.judge("validation", map(finish, logits))
    others = {
        split: context.judge(
            split, map(finish, logits_of(split)), validation.decision
        )
        for split in splits
        if split != "validation"
    }
    return {"validation": validation, **others}


def _fine_tune(
    context: contexts.RunContext,
    crossing: crossings.BoundaryActivations | None,
    trainer: keras.Model | None,
) -> list[dict]:
    # On cached rows only the part above the freeze boundary is trained; it
    # shares its layers with the whole model.
    if crossing is None:
        trainer = contexts.compile_trainer(context)
    elif trainer is None:
        trainer = contexts.compile_trainer(context, context.networks.boundary)
    feed = _make_feed(context, crossing)
    with context.strategy.scope(), contexts.use_training_precision(context):
        outcome = fine_tuning.fit_trainer(
            trainer,
            feed,
            adapted=context.adapted,
            task=context.task,
            config=context.config,
            # Checkpoints of the chief are read by all workers.
            place=context.shared,
            writes=context.is_chief,
            report=lambda rows: history.write(
                context.place.history, history.make_rows("fine_tune", rows)
            ),
        )
    return history.make_rows("fine_tune", outcome.rows)


def _make_feed(
    context: contexts.RunContext, crossing: crossings.BoundaryActivations | None
) -> fine_tuning.TrainingFeed:
    part = replicas.find_own_part(context.strategy)
    targets = {s: context.targets(s) for s in ("train", "validation")}
    if crossing is None:
        return fine_tuning.feed_pictures(
            context.data,
            targets,
            context.config,
            image_size=context.image_size,
            part=part,
        )
    # All views of training pictures; validation is never augmented.
    rows = {"train": crossing.views, "validation": crossing.rows["validation"]}
    return fine_tuning.feed_cached_rows(
        rows,
        context.networks.boundary.tensors,
        context.data,
        targets,
        context.config,
        part=part,
    )
