"""Fine-tuning of the pretrained weights, after the head has been fitted.

Source: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and
Underperform Out-of-Distribution", section 3.4 (LP-FT: first the head, then
everything, so that the features are not bent by a random head's gradients).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import assembly, workdir
from tf_finetune.adaptation import freezing
from tf_finetune.cache import batches
from tf_finetune.cache import store as stores
from tf_finetune.config import train, training_options
from tf_finetune.data import examples, ordering, parts, pipeline
from tf_finetune.data import targets as target_rows
from tf_finetune.tasks import task as tasks
from tf_finetune.training import averaging, fit, optimizers, train_step
from tf_finetune.training import stage as stages
from tf_finetune.training.devices import device_settings, precision
from tf_finetune.training.distributed import replicas


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
    """Training and validation data of the fine-tuning stage.

    Attributes:
        num_examples: Of the training split.
        batches: Epoch and step → all (inputs, targets) from there on.
        validation: (inputs, targets) of the validation split in batches.
        names: Epoch and step → the pictures of that batch.
    """

    num_examples: int
    batches: Callable[[int, int], tf.data.Dataset]
    validation: tf.data.Dataset
    names: Callable[[int, int], Sequence[str]]


def compiled(
    trainer: keras.Model,
    built: assembly.Assembly,
    selection: freezing.Selection,
    config: train.TrainConfig,
    *,
    loss: keras.losses.Loss,
    metrics: Sequence[keras.metrics.Metric],
    num_examples: int,
    settings: device_settings.Settings,
) -> keras.Model:
    """Freezes layers as selected and compiles the trainer for the stage.

    Args:
        trainer: What is trained: `built.trainer`, or the part of it above a
            freeze boundary; its outputs are logits.
        built: The whole model.
        selection: The backbone layers that move; the head always does.
        config: The optimizer and its settings.
        loss: Of logits and targets.
        metrics: What is reported of them.
        num_examples: Of the training split; the schedule's length comes from
            them.
        settings: Of the device.
    """
    # Before `compile`: a change of `trainable` takes effect with the next one.
    freezing.apply(
        [built.trainer, trainer, built.head],
        selection,
        always=built.head_layers,
    )
    options = config.training
    plan = optimizers.schedule(
        options, steps_per_epoch=steps_per_epoch(options, num_examples)
    )
    ours = needs_trainer(options)
    if ours:
        trainer = train_step.Trainer.of(
            trainer, micro_batches=options.gradient_accumulation_steps
        )
    trainer.compile(
        optimizer=precision.scaled(
            optimizers.build(options, plan, sums=ours), settings.precision
        ),
        loss=loss,
        metrics=list(metrics),
        jit_compile=settings.jit_compile,
        steps_per_execution=settings.steps_per_execution,
    )
    return trainer


def run(
    trainer: keras.Model,
    feed: Feed,
    *,
    task: tasks.Task,
    config: train.TrainConfig,
    place: workdir.Workdir,
    writes: bool = True,
    report: Callable[[Sequence[Mapping[str, float]]], None],
) -> fit.Outcome:
    """Trains the compiled trainer and gives it its best epoch's weights.

    Args:
        trainer: As `compiled` returns it.
        feed: What it trains on and is chosen by.
        task: The ranking of epochs.
        config: The run.
        place: Checkpoints and TensorBoard events go there.
        writes: Whether this process writes them; else it only reads them.
        report: Called with all rows after every epoch.
    """
    kept = config.interruptions
    stage = stages.Stage(
        name="fine_tune",
        epochs=config.training.epochs,
        steps_per_epoch=steps_per_epoch(config.training, feed.num_examples),
        batches=feed.batches,
        validation=feed.validation,
        rank=task.figures.rank,
        patience=config.training.patience,
        folder=place.checkpoints,
        writes=writes,
        averages=None
        if config.training.ema_momentum is None
        else averaging.Averages(),
        report=report,
        checkpoint_every_steps=kept.checkpoint_every_steps,
        keep_checkpoints=kept.keep_checkpoints,
        grace_seconds=kept.grace_seconds,
        max_recoveries=kept.max_recoveries,
        names=feed.names,
    )
    callbacks = []
    if config.output.tensorboard and writes:
        callbacks.append(keras.callbacks.TensorBoard(str(place.tensorboard)))
    with replicas.synchronized(trainer, wanted=config.training.sync_batch_norm):
        return fit.fit(trainer, stage, callbacks=callbacks)


def needs_trainer(options: training_options.TrainingOptions) -> bool:
    """Whether the options need `train_step.Trainer` instead of Keras' step.

    To be called in the scope of the strategy.
    """
    return (
        tf.distribute.get_strategy().num_replicas_in_sync > 1
        or options.gradient_accumulation_steps > 1
    )


def steps_per_epoch(
    options: training_options.TrainingOptions, num_examples: int
) -> int:
    """Returns the batches per epoch, a partial last one included."""
    # Ceiling division in integers.
    return -(-num_examples // optimizers.batch_size(options, num_examples))


def from_pictures(
    data: examples.ImageData,
    targets: Mapping[str, target_rows.Targets],
    config: train.TrainConfig,
    *,
    image_size: int,
    part: parts.Part = parts.WHOLE,
) -> Feed:
    """Builds the feed of decoded pictures, augmented anew in every epoch."""
    count = len(targets["train"])
    size = {
        "image_size": image_size,
        "resize": config.model.resize,
        "pixels": config.model.pixels,
    }
    options = config.training

    def training(first_epoch: int, first_step: int) -> tf.data.Dataset:
        return pipeline.training_batches(
            [picture.path for picture in data.split("train")],
            targets["train"],
            batch_size=optimizers.batch_size(options, count),
            augmentation=options.augmentation,
            seed=config.seed,
            first_epoch=first_epoch,
            first_step=first_step,
            epochs=options.epochs,
            part=part,
            **size,
        )

    images = pipeline.evaluation_images(
        [picture.path for picture in data.split("validation")],
        batch_size=options.batch_size,
        **size,
    )
    return Feed(
        num_examples=count,
        batches=training,
        validation=_with_targets(images, targets, config),
        names=_names(data, config),
    )


def from_rows(
    rows: Mapping[str, stores.Rows],
    unpack: batches.Unpack,
    data: examples.ImageData,
    targets: Mapping[str, target_rows.Targets],
    config: train.TrainConfig,
    *,
    part: parts.Part = parts.WHOLE,
) -> Feed:
    """Builds the feed of cached activations at the freeze boundary.

    Args:
        rows: "train" (all views) and "validation" from the cache.
        unpack: Rows → inputs of the trained part.
        data: The pictures, in the order of the rows.
        targets: Of "train" and "validation".
        config: The run.
        part: Of each training batch that this process works on.
    """
    count, options = len(targets["train"]), config.training
    return Feed(
        num_examples=count,
        batches=lambda first_epoch, first_step: batches.training(
            rows["train"],
            targets["train"],
            unpack=unpack,
            batch_size=optimizers.batch_size(options, count),
            seed=config.seed,
            first_epoch=first_epoch,
            first_step=first_step,
            epochs=options.epochs,
            part=part,
        ),
        validation=_with_targets(
            batches.in_order(
                rows["validation"],
                unpack=unpack,
                batch_size=options.batch_size,
            ),
            targets,
            config,
        ),
        names=_names(data, config),
    )


def _names(
    data: examples.ImageData, config: train.TrainConfig
) -> Callable[[int, int], Sequence[str]]:
    """Returns a function: epoch and step → paths of that batch's pictures."""
    paths = [picture.path for picture in data.split("train")]
    size = optimizers.batch_size(config.training, len(paths))

    def names(epoch: int, step: int) -> Sequence[str]:
        # The permutation that the input pipeline draws for this epoch.
        order = ordering.padded_order(
            len(paths), len(paths), config.seed, epoch
        )
        places = np.asarray(order)[step * size : (step + 1) * size]
        return [paths[place] for place in places]

    return names


def _with_targets(
    inputs: tf.data.Dataset,
    targets: Mapping[str, target_rows.Targets],
    config: train.TrainConfig,
) -> tf.data.Dataset:
    """Pairs batches of validation inputs with their targets."""
    size = config.training.batch_size
    expected = target_rows.in_order(targets["validation"], size)
    return tf.data.Dataset.zip(inputs, expected)
