"""A training run, from inspected pictures to a finished workdir."""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from tf_finetune.config import train_config
from tf_finetune.data import scan
from tf_finetune.data.images import inspection
from tf_finetune.runs import context as contexts
from tf_finetune.runs import (
    fit_stages,
    plan_text,
    results,
    run_figures,
    run_gates,
    run_preparation,
)
from tf_finetune.semi_supervised import catalog
from tf_finetune.workdir import workdir_files

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A finished run.

    Attributes:
        context: Its values; the model has the better weights.
        result: Its candidates and history.
        figures: By split, as in evaluation.json.
    """

    context: contexts.RunContext
    result: fit_stages.RunResult
    figures: dict[str, Any]


def train(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    *,
    largest_batch: int | None,
    start: float,
    report: Report,
) -> TrainedRun:
    """Prepares a run, trains, chooses the better model, evaluates and saves.

    Args:
        config: The config asked for.
        inspected: The pictures.
        place: Where results go.
        largest_batch: The batch size that fits, if that was asked for.
        start: Of the run, seconds of `time.monotonic`.
        report: Called with each text for the user.

    Raises:
        GateError: The run is finished and misses a figure asked for.
    """
    with contextlib.ExitStack() as held:
        context = run_preparation.prepare_run(
            config, inspected, place, held, largest_batch
        )
        plan = plan_text.format_plan(context)
        report(plan)
        plan_text.warn_of_single_pictures(context)
        results.begin_run(context, plan)
        # Raises if a picture's file has changed while it was learned from.
        with inspection.verify_unchanged(context.data.pictures):
            result = _fit(context, held, report)
    with inspection.verify_unchanged(context.data.pictures):
        figures = run_figures.evaluate_splits(context, result)
        if config.data.takes_rows:
            figures = _fuse_inputs(context, result, figures)
    results.save_results(context, result)
    results.finish_run(context, result, time.monotonic() - start)
    report(context.task.figures.text(figures))
    report(f"Results saved to {place.path}")
    run_gates.check_gates(context, figures)
    return TrainedRun(context=context, result=result, figures=figures)


def _fit(
    context: contexts.RunContext, held: contextlib.ExitStack, report: Report
) -> fit_stages.RunResult:
    """Fits on the labeled pictures, then on unlabeled ones if there are any."""
    if context.config.unlabeled.effective_objective == catalog.SUPERVISED:
        return _fit_supervised(context)
    # Loaded only here: a run without such pictures needs none of it.
    from tf_finetune.runs import semi_supervised_run

    prepared = semi_supervised_run.prepare_pool(context, report)
    supervised = _fit_supervised(context)
    return semi_supervised_run.learn_from_pool(
        context, prepared, supervised, held, report
    )


def _fit_supervised(context: contexts.RunContext) -> fit_stages.RunResult:
    fit_result = fit_stages.run_stages(context)
    chosen = fit_stages.select_candidate(context, fit_result)
    return fit_stages.RunResult(fit_result=fit_result, chosen=chosen)


def _fuse_inputs(
    context: contexts.RunContext,
    result: fit_stages.RunResult,
    figures: dict[str, Any],
) -> dict[str, Any]:
    from tf_finetune.runs import input_fusion

    return input_fusion.fuse_inputs(
        context, result.fit_result, result.chosen, figures
    )
