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
            f"{each.options.name}: {each.adapted.description}"
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
    if stage.learning_rate is None:
        rate = run_plan.format_rate(context)
    else:
        rate = f"{stage.learning_rate:g} (given; --stages)"
    table = method.format_plan_table(
        method.make_plan_rows(context.assembly, prepared.adapted)
    )
    epochs = data_statistics.format_count(stage.epochs, "epoch")
    config = fit_stage_options.make_stage_config(context.config, stage)
    updates = run_plan.format_updates(config, prepared.adapted)
    return (
        f"{stage.name}, at most {epochs}, learning rate {rate}{updates}\n"
        f"{table}"
    )


def make_longest_stage(context: contexts.RunContext) -> contexts.RunContext:
    """Returns the context of one stage that costs no less than all stages.

    It has the layers of the stage with the most weights that train, and the
    epochs of all stages.

    Args:
        context: The run, not trained yet; it has `stages`.
    """
    costliest = max(
        context.stages,
        key=lambda each: sum(
            row.trainable
            for row in method.make_plan_rows(context.assembly, each.adapted)
        ),
    )
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
