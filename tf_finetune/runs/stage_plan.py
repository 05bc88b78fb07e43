"""Describes the fit stages of `--stages` in the plan of a run."""

import dataclasses

from tf_finetune.adaptation import method
from tf_finetune.config import fit_stage_options, options
from tf_finetune.data import data_statistics
from tf_finetune.runs import context as contexts
from tf_finetune.runs import run_plan


def format_stages(context: contexts.RunContext) -> run_plan.StageTexts:
    """Formats the stages of a run: their layers, epochs, rates and boundaries.

    Args:
        context: The run, not trained yet; it has `stages`.
    """
    count = len(context.stages)
    epochs = sum(each.options.epochs for each in context.stages)
    return run_plan.StageTexts(
        table="\n".join(
            f"stage {number} of {count}: {_format_stage(context, prepared)}"
            for number, prepared in enumerate(context.stages, start=1)
        ),
        length=(
            f"{data_statistics.format_count(count, 'stage')} (--stages) of at "
            f"most {data_statistics.format_count(epochs, 'epoch')} in all, "
            "each from the best epoch of the one before"
        ),
        rate="learning rate of each stage as above",
        updates=" of each stage",
        adaptation="; ".join(
            f"{each.options.name}: {_describe_method(context, each)}"
            for each in context.stages
        ),
        boundary="; ".join(
            f"{each.options.name}: {run_plan.describe_boundary(each.boundary)}"
            for each in context.stages
        ),
    )


def _format_stage(
    context: contexts.RunContext, prepared: contexts.PreparedStage
) -> str:
    stage = prepared.options
    config = fit_stage_options.make_stage_config(context.config, stage)
    rate = _format_rate(context, stage)
    table = method.format_plan_table(
        method.make_plan_rows(context.assembly, prepared.adapted)
    )
    epochs = data_statistics.format_count(stage.epochs, "epoch")
    updates = run_plan.format_updates(config, prepared.adapted)
    return (
        f"{stage.name}, at most {epochs}, learning rate {rate}{updates}\n"
        f"{table}"
    )


def _format_rate(
    context: contexts.RunContext, stage: fit_stage_options.FitStageOptions
) -> str:
    """Formats the learning rate of a stage with its origin."""
    asked = {
        each.name: each
        for each in fit_stage_options.parse_stages(
            context.requested_config.training.stages
        )
    }
    # --batch_size=auto may have given stages rates of their own.
    requested = asked.get(stage.name, stage)
    if requested.learning_rate is not None:
        return f"{requested.learning_rate:g} (given; --stages)"
    make_config = fit_stage_options.make_stage_config
    return run_plan.format_rate(
        dataclasses.replace(
            context,
            config=make_config(context.config, stage),
            requested_config=make_config(context.requested_config, requested),
        )
    )


def _describe_method(
    context: contexts.RunContext, prepared: contexts.PreparedStage
) -> str:
    """Describes the method of a stage, and its end if it adds numbers."""
    named = prepared.options.choose_adaptation(context.config.model)
    if prepared.adapted.adapter is None:
        return f"{named}, {prepared.adapted.description}"
    return (
        f"{named}, {prepared.adapted.description}; the numbers are merged into "
        "the weights when the stage ends"
    )


def make_longest_stage(context: contexts.RunContext) -> contexts.RunContext:
    """Returns the context of one stage that costs no less than all stages.

    It has the layers of the stage that computes the most of the network anew
    in each step, of several the one with the most weights that train, and the
    epochs of all stages.

    Args:
        context: The run, not trained yet; it has `stages`.
    """

    def rank(stage: contexts.PreparedStage) -> tuple[float, int]:
        # First by the forward pass that is computed, then by the numbers that
        # are updated.
        rows = method.make_plan_rows(context.assembly, stage.adapted)
        frozen = stage.boundary.frozen_share if stage.boundary else 0.0
        return -frozen, sum(row.trainable for row in rows)

    costliest = max(context.stages, key=rank)
    config = fit_stage_options.make_stage_config(
        context.config, costliest.options
    )
    epochs = sum(each.options.epochs for each in context.stages)
    return dataclasses.replace(
        context,
        config=options.replace(config, epochs=epochs),
        adapted=costliest.adapted,
        stages=(),
    )
