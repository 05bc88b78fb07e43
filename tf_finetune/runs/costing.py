"""Estimates the cost of a run from a few steps; see `--plan`."""

from tf_finetune.data import pipeline
from tf_finetune.runs import course as courses
from tf_finetune.training import fine_tuning, optimizers
from tf_finetune.training.devices import estimate


def estimated(course: courses.Course) -> estimate.Estimate:
    """Measures a few steps of each kind and extrapolates them to the run."""
    config, targets = course.config, course.targets("train")
    size = optimizers.batch_size(config.training, len(targets))
    # Enough pictures for the four batches that are measured.
    copies = -(-4 * size // len(targets))  # Rounded up.
    batches = pipeline.training_batches(
        [picture.path for picture in course.data.split("train")] * copies,
        targets,
        image_size=course.image_size,
        resize=config.model.resize,
        pixels=config.model.pixels,
        batch_size=size,
        augmentation=config.training.augmentation,
        seed=config.seed,
        first_epoch=0,
        epochs=1,
    )
    steps = fine_tuning.steps_per_epoch(config.training, len(targets))
    epochs = config.training.epochs if course.fine_tunes else 0
    with course.strategy.scope(), courses.in_precision(course):
        return estimate.measure(
            courses.compiled(course),
            course.built.extractor,
            batches,
            num_pictures=len(course.data.pictures),
            training_steps=steps * epochs,
            validated_pictures=len(course.data.split("validation")) * epochs,
        )
