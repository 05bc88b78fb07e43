"""The second stage: pretrained weights move, gently.

Source: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and
Underperform Out-of-Distribution", section 3.4 (LP-FT: first the head, then
everything, so that the features are not bent by a random head's gradients).
"""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import assembly, workdir
from tf_finetune.adaptation import freezing
from tf_finetune.config import train
from tf_finetune.data import examples, pipeline
from tf_finetune.tasks import task as tasks
from tf_finetune.training import (
    device_settings,
    fit,
    objectives,
    optimizers,
    precision,
)


def compiled(
    built: assembly.Assembly,
    selection: freezing.Selection,
    config: train.TrainConfig,
    *,
    task: tasks.Task,
    targets: np.ndarray,
    settings: device_settings.Settings,
) -> keras.Model:
    """Returns the trainer, frozen as selected and compiled for the stage.

    Args:
        built: The model.
        selection: The backbone layers that move; the head always does.
        config: Optimizer, loss and their settings.
        task: Its metrics are reported.
        targets: [n, classes] of the training split; class weights and the
            schedule's length come from them.
        settings: Of the device.
    """
    freezing.apply(
        [built.trainer, built.head], selection, always=built.head_layers
    )
    options = config.training
    plan = optimizers.schedule(
        options, steps_per_epoch=steps_per_epoch(options, len(targets))
    )
    built.trainer.compile(
        optimizer=precision.scaled(
            optimizers.build(options, plan), settings.precision
        ),
        loss=objectives.ClassificationLoss(
            options.loss,
            label_smoothing=options.label_smoothing,
            class_weights=objectives.class_weights(
                targets, options.class_weight
            ),
        ),
        metrics=task.metrics(),
        jit_compile=settings.jit_compile,
        steps_per_execution=settings.steps_per_execution,
    )
    return built.trainer


def run(
    trainer: keras.Model,
    *,
    data: examples.ImageData,
    task: tasks.Task,
    config: train.TrainConfig,
    image_size: int,
    place: workdir.Workdir,
    report: Callable[[Sequence[Mapping[str, float]]], None],
) -> fit.Outcome:
    """Trains the compiled trainer; afterwards it has its best epoch's weights.

    Args:
        trainer: As `compiled` returns it.
        data: Trains on "train", chooses on "validation".
        task: Targets and the ranking of epochs.
        config: The run.
        image_size: Side of the model's input, pixels.
        place: Checkpoints and TensorBoard events go there.
        report: Called with all rows after every epoch.
    """
    targets = task.targets(data, "train")
    stage = fit.Stage(
        name="fine_tune",
        epochs=config.training.epochs,
        steps_per_epoch=steps_per_epoch(config.training, len(targets)),
        batches=lambda epoch: training_batches(
            data, targets, config, image_size=image_size, first_epoch=epoch
        ),
        validation=_validation(data, task, config, image_size),
        rank=task.rank,
        patience=config.training.patience,
        folder=place.checkpoints,
        report=report,
    )
    callbacks = []
    if config.output.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(str(place.tensorboard)))
    return fit.fit(trainer, stage, callbacks=callbacks)


def steps_per_epoch(options: train.TrainingOptions, num_examples: int) -> int:
    """Returns batches an epoch, the partial last one included."""
    return -(-num_examples // optimizers.batch_size(options, num_examples))


def training_batches(
    data: examples.ImageData,
    targets: np.ndarray,
    config: train.TrainConfig,
    *,
    image_size: int,
    first_epoch: int,
) -> tf.data.Dataset:
    """Returns the augmented batches of all epochs from `first_epoch` on."""
    return pipeline.training_batches(
        [picture.path for picture in data.split("train")],
        targets,
        image_size=image_size,
        resize=config.model.resize,
        batch_size=optimizers.batch_size(config.training, len(targets)),
        augmentation=config.training.augmentation,
        seed=config.seed,
        first_epoch=first_epoch,
        epochs=config.training.epochs,
    )


def _validation(
    data: examples.ImageData,
    task: tasks.Task,
    config: train.TrainConfig,
    image_size: int,
) -> tf.data.Dataset:
    pictures = data.split("validation")
    batch_size = min(config.training.batch_size, len(pictures))
    images = pipeline.evaluation_images(
        [picture.path for picture in pictures],
        image_size=image_size,
        resize=config.model.resize,
        batch_size=batch_size,
    )
    targets = tf.data.Dataset.from_tensor_slices(
        task.targets(data, "validation")
    )
    return tf.data.Dataset.zip(images, targets.batch(batch_size))
