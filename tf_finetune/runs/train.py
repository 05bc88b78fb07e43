"""A training run, from inspected pictures to a finished workdir."""

import contextlib
import dataclasses
import pathlib
import time
import types
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tf_finetune.config import teacher_options, train_config
from tf_finetune.data import scan
from tf_finetune.data.images import inspection
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import assembly
from tf_finetune.runs import (
    boundary_activations,
    cache_choice,
    candidates,
    fine_tune_stage,
    head_stage,
    results,
    run_cache,
    run_plan,
    run_preparation,
)
from tf_finetune.runs import context as contexts
from tf_finetune.training.checkpoints import trial_checkpoints
from tf_finetune.training.distributed import strategies
from tf_finetune.workdir import workdir_files

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """Finished training run.

    Attributes:
        context: Config, data and task; its model has the weights of the kept
            candidate.
        result: The candidates and the history of their epochs.
        figures: The content of evaluation.json; by split name the metrics.
    """

    context: contexts.RunContext
    result: candidates.RunResult
    figures: dict[str, Any]


def train(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    *,
    largest_batch: int | None,
    start: float,
    report: Report,
    requested: train_config.TrainConfig | None = None,
    recipe_lines: Mapping[str, str] = types.MappingProxyType({}),
    trial_workdir: pathlib.Path | None = None,
) -> TrainedRun:
    """Runs training from inspected pictures to a finished workdir.

    The better of head and fine-tuned model is kept, evaluated and saved.

    Args:
        config: The user's config, with the choices of a recipe.
        inspected: Pictures whose headers were read.
        place: Workdir for results; an unfinished run in it is resumed.
        largest_batch: Batch size that was found; None: not searched.
        start: Start of the run, seconds of `time.monotonic`.
        report: Called with each text for the user.
        requested: The config without those choices; None: it is `config`.
        recipe_lines: By option, each choice with its reason in a line.
        trial_workdir: Workdir of a trial to go on from; None: there is none.

    Returns:
        The run, with the kept model in memory.

    Raises:
        GateError: A metric of the finished, saved run misses `--fail_below`
            or `--fail_if_not_better_than`.
        UsageError: Backbone, weights, surgery or `--trainable` are impossible.
        DataError: Too few pictures are usable, or they are not those that the
            unfinished run began with.
        RunError: Training diverged too often, a picture changed during the run,
            or weights or cache cannot be read or written.
    """
    with contextlib.ExitStack() as held:
        context = dataclasses.replace(
            run_preparation.prepare_run(
                config, inspected, place, held, largest_batch
            ),
            requested_config=requested or config,
            recipe_lines=recipe_lines,
        )
        context = _begin_run(context, held, report)
        if trial_workdir:
            trial_checkpoints.take_over(trial_workdir, context.place)
        # Raises if a picture's file has changed while it was learned from.
        with inspection.verify_unchanged(context.data.pictures):
            result = _fit(context, held, report)
    figures = _evaluate(context, result)
    _save(context, result, figures)
    results.finish_run(context, result, time.monotonic() - start)
    report(context.task.figures.text(figures))
    report(f"Results saved to {place.path}")
    results.check_gates(context, figures)
    return TrainedRun(context=context, result=result, figures=figures)


def _begin_run(
    context: contexts.RunContext, held: contextlib.ExitStack, report: Report
) -> contexts.RunContext:
    """Attaches the teacher, if any, and reports and records the plan."""
    if context.config.unlabeled.teacher:
        # Loaded only here: other runs have no teacher.
        from tf_finetune.runs import distillation

        context = distillation.attach_teacher(context, held)
    plan = run_plan.format_plan(context)
    report(plan)
    run_plan.warn_of_single_pictures(context)
    results.begin_run(context, plan)
    return context


def _evaluate(
    context: contexts.RunContext, result: candidates.RunResult
) -> dict[str, Any]:
    """Evaluates all splits, of rows with several inputs after their fusion."""
    with inspection.verify_unchanged(context.data.pictures):
        figures = results.evaluate_splits(context, result)
        if not context.config.data.takes_rows:
            return figures
        # Loaded only here: runs on pictures alone need none of it.
        from tf_finetune.runs import input_fusion

        return input_fusion.fuse_inputs(
            context, result.fit_result, result.chosen, figures
        )


def _save(
    context: contexts.RunContext,
    result: candidates.RunResult,
    figures: dict[str, Any],
) -> None:
    """Saves model and results, and the files about adapters and a teacher."""
    results.save_results(context, result)
    if any(e.adapted.adapter for e in context.stages or [context]):
        # Loaded only here: other runs need no adapters.
        from tf_finetune.runs import adapter_record

        adapter_record.write_adapter(context, result, figures)
    if context.distillation:
        from tf_finetune.runs import distillation_record

        distillation_record.complete_record(context, figures)


def _fit(
    context: contexts.RunContext, held: contextlib.ExitStack, report: Report
) -> candidates.RunResult:
    """Fits on the labeled pictures, then on unlabeled ones if there are any.

    The better candidate on validation is chosen; the model has its weights.
    """
    if (
        context.config.unlabeled.effective_objective
        == teacher_options.SUPERVISED
    ):
        return _fit_supervised(context)
    # Loaded only here: a run without such pictures needs none of it.
    from tf_finetune.runs import semi_supervised_run

    prepared = semi_supervised_run.prepare_pool(context, report)
    supervised = _fit_supervised(context)
    return semi_supervised_run.learn_from_pool(
        context, prepared, supervised, held, report
    )


def _fit_supervised(context: contexts.RunContext) -> candidates.RunResult:
    fit_result = run_stages(context)
    chosen = candidates.select_candidate(context, fit_result)
    return candidates.RunResult(fit_result=fit_result, chosen=chosen)


def run_stages(context: contexts.RunContext) -> candidates.FitResult:
    """Trains both stages: fits the head on cached features, then fine-tunes.

    Args:
        context: The run; its model has the pretrained weights and ends with
            those of the last stage.

    Returns:
        Both candidates and the history; `fine_tuned` is None where only the
        head is trained.
    """
    head = context.assembly.head
    # Before the head is fitted, for --head_init=random.
    fresh_head = assembly.copy_values(head.weights)
    # The chief fills the cache and decides; then the others read both.
    with strategies.run_chief_first(context.strategy):
        stage = _begin_stages(context) if context.stages else context
        choice = cache_choice.choose_input(stage)
        features = extract_features(
            context, with_activations=choice.reads_cache
        )
        fitted = head_stage.fit_head(context, features)
        probe = candidates.make_candidate(context, "probe", fitted.evaluations)
        activations = None
        if choice.reads_cache:
            # After the head is fitted: the figures of its predictions decide
            # the precision of augmented views.
            activations = boundary_activations.compute_activations(stage)
    result = candidates.FitResult(probe=probe, fine_tuned=None, table=[])
    if context.distillation:
        from tf_finetune.runs import distillation_record

        distillation_record.begin_record(context, probe)
    if context.fine_tunes:
        # Kumar et al. 2022, section 3.4 (LP-FT): by default fine-tuning starts
        # from the solved head, whose gradients do not distort the features.
        is_fresh = context.config.training.head_init == "random"
        start = fresh_head if is_fresh else fitted.start
        assembly.assign_values(head.weights, start)
        result = _fine_tune(context, stage, choice.trainer, activations, probe)
    strategies.wait_for_all(context.strategy)
    return result


def _begin_stages(context: contexts.RunContext) -> contexts.RunContext:
    # Loaded only here: a run of one stage needs none of it.
    from tf_finetune.runs import staged_fine_tuning

    return staged_fine_tuning.begin_first_stage(context)


def _fine_tune(
    context: contexts.RunContext,
    stage: contexts.RunContext,
    timed: keras.Model | None,
    activations: boundary_activations.BoundaryActivations | None,
    probe: candidates.Candidate,
) -> candidates.FitResult:
    """Fine-tunes at once, or in several stages, of which `stage` is first."""
    if context.stages:
        from tf_finetune.runs import staged_fine_tuning

        trained = staged_fine_tuning.fine_tune_stages(
            context,
            stage,
            staged_fine_tuning.StageInput(
                trainer=timed, activations=activations
            ),
        )
        table, cache, stages = trained.table, trained.cache, trained.stages
        stage, activations = trained.context, trained.activations
    else:
        table = fine_tune_stage.fine_tune(context, timed, activations)
        cache, stages = "on" if activations else "off", ()
    found = fine_tune_stage.evaluate_fine_tuned(stage, activations)
    return candidates.FitResult(
        probe=probe,
        fine_tuned=candidates.make_candidate(context, "fine_tune", found),
        table=table,
        cache=cache,
        stages=stages,
    )


def extract_features(
    context: contexts.RunContext, *, with_activations: bool
) -> dict[str, stores.Rows]:
    """Computes the features that the cache lacks and returns all of them.

    Args:
        context: The run.
        with_activations: Whether the same pass computes the activations at the
            freeze boundary, which fine-tuning reads instead of pictures.

    Returns:
        By split name the head's inputs, one row per unaugmented picture in
        order.
    """
    # The chief has filled the cache since this worker opened it.
    if not context.is_chief:
        context.cache.refresh()
    context.cache.fill_features(
        context.data.pictures, with_rows=with_activations
    )
    return run_cache.split_rows(context.cache.features, context.data)
