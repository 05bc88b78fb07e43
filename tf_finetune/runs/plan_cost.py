"""Reports the plan of a run and its estimated cost, for `--plan`."""

import contextlib
from collections.abc import Callable

from tf_finetune.config import train_config
from tf_finetune.data import data_statistics, epoch_order, pipeline, scan
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fine_tune_stage as trainers
from tf_finetune.runs import run_plan, run_preparation
from tf_finetune.training import fine_tuning, optimizers
from tf_finetune.training.devices import cost_estimate
from tf_finetune.workdir import workdir_files


def report_plan(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    *,
    largest_batch: int | None,
    report: Callable[[str], None],
) -> None:
    """Reports data, plan and cost of a run without training it.

    Every picture is decoded and its features are cached on the way.

    Args:
        config: The config that the user asked for.
        inspected: Pictures whose headers were read.
        place: Workdir for results; nothing is written to it.
        largest_batch: Largest batch size that fits into memory; None without
            `--batch_size=auto`.
        report: Called with each text for the user.
    """
    with contextlib.ExitStack() as held:
        context = run_preparation.prepare_run(
            config, inspected, place, held, largest_batch
        )
        report(data_statistics.format_summary(context.data))
        report(run_plan.format_plan(context))
        run_plan.warn_of_single_pictures(context)
        report(estimate_cost(context).text())


def estimate_cost(context: contexts.RunContext) -> cost_estimate.Estimate:
    """Times a few training and inference steps and extrapolates to the run.

    Args:
        context: The run, not trained yet.

    Returns:
        Estimated time and memory of a run that reads pictures, without cached
        activations.
    """
    if context.stages:
        from tf_finetune.runs import stage_plan

        context = stage_plan.make_longest_stage(context)
    config, targets = context.config, context.targets("train")
    size = optimizers.choose_batch_size(config.training, len(targets))
    # Enough pictures for the four batches that are measured.
    copies = -(-4 * size // len(targets))  # Rounded up.
    batches = pipeline.build_training_batches(
        [picture.path for picture in context.data.split("train")] * copies,
        targets,
        epoch_order.BatchOrder(batch_size=size, seed=config.seed, epochs=1),
        context.square,
        augmentation=config.training.augmentation,
    )
    steps = fine_tuning.count_steps_per_epoch(config.training, len(targets))
    epochs = config.training.epochs if context.fine_tunes else 0
    with trainers.enter_training(context):
        return cost_estimate.measure_run(
            trainers.prepare_trainer(context),
            context.assembly.extractor,
            batches,
            num_pictures=len(context.data.pictures),
            training_steps=steps * epochs,
            validated_pictures=len(context.data.split("validation")) * epochs,
        )
