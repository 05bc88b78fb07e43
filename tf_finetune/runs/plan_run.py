"""The plan of a run, with its cost estimated from a few steps (`--plan`)."""

import contextlib
from collections.abc import Callable

from tf_finetune.config import train_config
from tf_finetune.data import data_statistics, pipeline, scan
from tf_finetune.runs import context as contexts
from tf_finetune.runs import plan_text, run_preparation
from tf_finetune.runs import trainer as trainers
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
    """Reports pictures, plan and cost of a run without training.

    Args:
        config: The config asked for.
        inspected: The pictures.
        place: Where results would go; nothing is written.
        largest_batch: The batch size that fits, if that was asked for.
        report: Called with each text for the user.
    """
    with contextlib.ExitStack() as held:
        context = run_preparation.prepare_run(
            config, inspected, place, held, largest_batch
        )
        report(data_statistics.format_summary(context.data))
        report(plan_text.format_plan(context))
        plan_text.warn_of_single_pictures(context)
        report(estimate_cost(context).text())


def estimate_cost(context: contexts.RunContext) -> cost_estimate.Estimate:
    """Measures a few steps of each kind and extrapolates them to the run."""
    config, targets = context.config, context.targets("train")
    size = optimizers.choose_batch_size(config.training, len(targets))
    # Enough pictures for the four batches that are measured.
    copies = -(-4 * size // len(targets))  # Rounded up.
    batches = pipeline.build_training_batches(
        [picture.path for picture in context.data.split("train")] * copies,
        targets,
        image_size=context.image_size,
        resize=config.model.resize,
        pixels=config.model.pixels,
        batch_size=size,
        augmentation=config.training.augmentation,
        seed=config.seed,
        first_epoch=0,
        epochs=1,
    )
    steps = fine_tuning.count_steps_per_epoch(config.training, len(targets))
    epochs = config.training.epochs if context.fine_tunes else 0
    with trainers.enter_training(context):
        return cost_estimate.measure_run(
            trainers.compile_trainer(context),
            context.assembly.extractor,
            batches,
            num_pictures=len(context.data.pictures),
            training_steps=steps * epochs,
            validated_pictures=len(context.data.split("validation")) * epochs,
        )
