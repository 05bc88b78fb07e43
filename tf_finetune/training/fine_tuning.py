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

from tf_finetune.adaptation import method
from tf_finetune.config import train_config, training_options
from tf_finetune.data import epoch_order, examples, pipeline
from tf_finetune.data import split_targets as target_rows
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.tasks import task as task_contract
from tf_finetune.training import fit, optimizers, train_step
from tf_finetune.training import fit_stage as stages
from tf_finetune.training.devices import device_settings
from tf_finetune.training.distributed import replicas
from tf_finetune.workdir import workdir_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingFeed:
    """Training and validation batches of the fine-tuning stage.

    Attributes:
        num_examples: Examples of the training split.
        batches: Maps (epoch, step), from 0, to all later (inputs, targets).
        validation: Batches of (inputs, targets) of the validation split.
        names: Maps (epoch, step) to the picture paths of that batch.
    """

    num_examples: int
    batches: Callable[[int, int], tf.data.Dataset]
    validation: tf.data.Dataset
    names: Callable[[int, int], Sequence[str]]


def compile_trainer(
    trainer: keras.Model,
    config: train_config.TrainConfig,
    *,
    adapted: method.Adapted,
    loss: keras.losses.Loss,
    metrics: Sequence[keras.metrics.Metric],
    num_examples: int,
    settings: device_settings.Settings,
    continues: bool = False,
) -> keras.Model:
    """Compiles a network with the optimizer, loss and metrics of fine-tuning.

    Args:
        trainer: Model to logits, as `Adapted.build_trainer` returns it.
        config: The optimizer and its settings.
        adapted: Adaptation that built `trainer`, with the rates of its layers.
        loss: Loss of targets and logits.
        metrics: Metrics of targets and logits.
        num_examples: Training examples, for the schedule's length.
        settings: Precision and compilation for the device.
        continues: As in `optimizers.build_optimizer`.

    Returns:
        `trainer`, or a `train_step.Trainer` of its layers if `needs_own_step`.
    """
    options = optimizers.resolve_options(config)
    steps = count_steps_per_epoch(options, num_examples)
    plan = optimizers.make_schedule(options, steps_per_epoch=steps)
    ours = needs_own_step(options)
    if ours:
        trainer = train_step.Trainer.from_model(
            trainer, micro_batches=options.gradient_accumulation_steps
        )
    trainer.compile(
        optimizer=device_settings.add_loss_scaling(
            optimizers.build_optimizer(
                options, plan, adapted=adapted, sums=ours, continues=continues
            ),
            settings.precision,
        ),
        loss=loss,
        metrics=list(metrics),
        jit_compile=settings.jit_compile,
        steps_per_execution=settings.steps_per_execution,
    )
    return trainer


def fit_trainer(
    trainer: keras.Model,
    feed: TrainingFeed,
    *,
    adapted: method.Adapted,
    task: task_contract.Task,
    config: train_config.TrainConfig,
    place: workdir_files.Workdir,
    writes: bool = True,
    report: Callable[[Sequence[Mapping[str, float]]], None],
    name: str | None = None,
) -> fit.Outcome:
    """Fits a trainer, merges its kept epoch's weights and returns all metrics.

    It resumes from checkpoints, and raises `RunError` if training diverges.

    Args:
        trainer: Model that `compile_trainer` returned.
        feed: Training batches, and validation batches that rank epochs.
        adapted: Adaptation whose result is merged into the network.
        task: Task that ranks epochs by their metrics.
        config: The run's config.
        place: Workdir for checkpoints and TensorBoard events.
        writes: Whether this process writes them; else it only reads them.
        report: Called after every epoch with the metrics of all epochs.
        name: Name of one of several stages; None: it is the only one.
    """
    stage = dataclasses.replace(
        _make_stage(name or "fine_tune", feed, config),
        constant=adapted.adapter.network.weights if adapted.adapter else (),
        keeps_optimizer=name is not None,
        rank=task.figures.rank_epoch,
        folder=place.checkpoints,
        writes=writes,
        report=report,
    )
    callbacks = []
    if config.output.tensorboard and writes:
        callbacks = [keras.callbacks.TensorBoard(str(place.tensorboard))]
    with replicas.synchronize_batch_norms(
        trainer, wanted=config.training.sync_batch_norm
    ):
        outcome = fit.fit(trainer, stage, callbacks=callbacks)
    adapted.merge()
    return outcome


def _make_stage(
    name: str, feed: TrainingFeed, config: train_config.TrainConfig
) -> stages.FitStage:
    """Describes the fine-tuning stage for `fit`."""
    options, kept = config.training, config.interruptions
    return stages.FitStage(
        name=name,
        epochs=options.epochs,
        steps_per_epoch=count_steps_per_epoch(options, feed.num_examples),
        batches=feed.batches,
        validation=feed.validation,
        keeps_last=options.keep_epoch == "last",
        patience=options.patience,
        averages=stages.EmaCallback() if options.ema_momentum else None,
        checkpoint_every_steps=kept.checkpoint_every_steps,
        keep_checkpoints=kept.keep_checkpoints,
        grace_seconds=kept.grace_seconds,
        max_recoveries=kept.max_recoveries,
        names=feed.names,
    )


def needs_own_step(options: training_options.TrainingOptions) -> bool:
    """Tells if replicas or accumulation need `train_step.Trainer`.

    To be called in the scope of the strategy.
    """
    return (
        tf.distribute.get_strategy().num_replicas_in_sync > 1
        or options.gradient_accumulation_steps > 1
    )


def count_steps_per_epoch(
    options: training_options.TrainingOptions, num_examples: int
) -> int:
    """Counts the batches of an epoch, a smaller last one included."""
    size = optimizers.choose_batch_size(options, num_examples)
    return -(-num_examples // size)  # Rounded up.


def order_batches(
    config: train_config.TrainConfig, count: int, part: epoch_order.Shard
) -> epoch_order.BatchOrder:
    """Returns the order of all batches of a run with `count` examples."""
    options = config.training
    return epoch_order.BatchOrder(
        batch_size=optimizers.choose_batch_size(options, count),
        seed=config.seed,
        epochs=options.epochs,
        part=part,
    )


def feed_pictures(
    data: examples.ImageData,
    targets: Mapping[str, target_rows.Targets],
    config: train_config.TrainConfig,
    *,
    image_size: int,
    part: epoch_order.Shard = epoch_order.WHOLE,
) -> TrainingFeed:
    """Builds batches of decoded pictures, augmented anew in every epoch.

    Args:
        data: The pictures, in splits.
        targets: By split name, the targets of "train" and "validation".
        config: The run's config.
        image_size: Side of the model's input, pixels.
        part: Replicas whose share of each training batch is read.
    """
    count = len(targets["train"])
    order = order_batches(config, count, part)
    square = config.model.make_square(image_size)

    def training(epoch: int, step: int) -> tf.data.Dataset:
        return pipeline.build_training_batches(
            [picture.path for picture in data.split("train")],
            targets["train"],
            order.start_at(epoch, step),
            square,
            augmentation=config.training.augmentation,
        )

    images = pipeline.build_evaluation_images(
        [picture.path for picture in data.split("validation")],
        square,
        batch_size=config.training.batch_size,
    )
    return TrainingFeed(
        num_examples=count,
        batches=training,
        validation=_join_targets(images, targets, config),
        names=_make_name_lookup(data, config),
    )


def feed_cached_rows(
    rows: Mapping[str, stores.Rows],
    unpack: batches.Unpack,
    data: examples.ImageData,
    targets: Mapping[str, target_rows.Targets],
    config: train_config.TrainConfig,
    *,
    part: epoch_order.Shard = epoch_order.WHOLE,
) -> TrainingFeed:
    """Builds batches of cached activations at the freeze boundary.

    Args:
        rows: By split name, those of "train" (all views) and "validation".
        unpack: Converts rows [batch, width] to inputs of the trained model.
        data: The pictures, in the order of the rows.
        targets: By split name, the targets of "train" and "validation".
        config: The run's config.
        part: Replicas whose share of each training batch is read.
    """
    count, batch_size = len(targets["train"]), config.training.batch_size
    order = order_batches(config, count, part)
    inputs = batches.make_ordered_batches(
        rows["validation"], unpack=unpack, batch_size=batch_size
    )
    return TrainingFeed(
        num_examples=count,
        batches=lambda epoch, step: batches.make_training_batches(
            rows["train"],
            targets["train"],
            order.start_at(epoch, step),
            unpack=unpack,
        ),
        validation=_join_targets(inputs, targets, config),
        names=_make_name_lookup(data, config),
    )


def _make_name_lookup(
    data: examples.ImageData, config: train_config.TrainConfig
) -> Callable[[int, int], Sequence[str]]:
    """Makes a function from (epoch, step) to the paths of that batch."""
    paths = [picture.path for picture in data.split("train")]
    order = order_batches(config, len(paths), epoch_order.WHOLE)

    def names(epoch: int, step: int) -> Sequence[str]:
        places = np.asarray(order.draw_epoch(len(paths), epoch)[step])
        return [paths[place] for place in places if place >= 0]

    return names


def _join_targets(
    inputs: tf.data.Dataset,
    targets: Mapping[str, target_rows.Targets],
    config: train_config.TrainConfig,
) -> tf.data.Dataset:
    """Pairs batches of validation inputs with targets."""
    size = config.training.batch_size
    expected = target_rows.batch_in_order(targets["validation"], size)
    return tf.data.Dataset.zip(inputs, expected)
