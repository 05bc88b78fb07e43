"""Estimates the cost of a run from a few steps; see `--plan`."""

from tf_finetune.data import pipeline
from tf_finetune.runs import context as contexts
from tf_finetune.training import fine_tuning, optimizers
from tf_finetune.training.devices import cost_estimate


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
    with context.strategy.scope(), contexts.use_training_precision(context):
        return cost_estimate.measure_run(
            contexts.compile_trainer(context),
            context.assembly.extractor,
            batches,
            num_pictures=len(context.data.pictures),
            training_steps=steps * epochs,
            validated_pictures=len(context.data.split("validation")) * epochs,
        )
