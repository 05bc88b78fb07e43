"""Decides if fine-tuning reads cached activations instead of pictures."""

import dataclasses
import time
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import epoch_order, pipeline, split_targets
from tf_finetune.data.augment import augmentation
from tf_finetune.feature_cache import entries
from tf_finetune.model import inference
from tf_finetune.runs import boundary_activations
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fine_tune_stage as trainers
from tf_finetune.training import fit, optimizers
from tf_finetune.training.devices import cost_estimate
from tf_finetune.training.distributed import replicas


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheChoice:
    """Input of fine-tuning: cached activations or pictures.

    Attributes:
        reads_cache: Whether fine-tuning reads cached activations at the freeze
            boundary; else it decodes pictures in every epoch.
        trainer: Compiled model above the freeze boundary, left from timing it;
            None if nothing was timed.
    """

    reads_cache: bool
    trainer: keras.Model | None = None


def will_read_activations(
    config: train_config.TrainConfig,
    networks: inference.CompiledNetworks,
) -> bool:
    """Predicts if fine-tuning will read activations at the freeze boundary.

    Args:
        config: The run's config.
        networks: The model, compiled.

    Returns:
        True with `--cache=on`, and with `--cache=auto` where there are at least
        as many epochs as cached views; False without a freeze boundary, with
        `--cache=off`, and for augmentation that mixes pictures.
    """
    wanted, options = config.output.cache, config.training
    if networks.boundary is None or wanted == "off":
        return False
    # Mixed pictures have no rows of their own to be cached.
    if augmentation.mixes_images(options.augmentation):
        return False
    return wanted == "on" or options.first_epochs >= options.num_views


def choose_input(context: contexts.RunContext) -> CacheChoice:
    """Chooses whether fine-tuning reads cached activations or pictures.

    The chief chooses once a run, with `--cache=auto` by timing both, and
    records its choice in the workdir; a resumed run and the other workers read
    it.

    Args:
        context: The run.

    Returns:
        The choice; `reads_cache` is False for a run without fine-tuning.

    Raises:
        UsageError: `--cache=on` was given, and the network, the augmentation or
            the free space does not allow it.
        RunError: A worker finds no choice of the chief.
    """
    known = boundary_activations.load_choices(context.shared)
    wanted = known.get("cache", context.config.output.cache)
    if not context.fine_tunes or wanted == "off":
        return CacheChoice(reads_cache=False)
    if not context.is_chief:
        decided = boundary_activations.load_chief_choice(
            context.shared, "cache"
        )
        return CacheChoice(reads_cache=decided == "on")
    choice = _choose_for_chief(context, wanted)
    decided = "on" if choice.reads_cache else "off"
    boundary_activations.record_choice(context.shared, "cache", decided)
    return choice


def repeat_choice(
    context: contexts.RunContext, earlier: Literal["on", "off"]
) -> CacheChoice:
    """Repeats the choice of an earlier fit stage, as far as it is possible.

    The chief records it in the workdir of the stage; the other workers read it.

    Args:
        context: The run in a later stage.
        earlier: Whether the earlier stage read the cache ("on") or pictures.

    Returns:
        The choice; `reads_cache` is False where the features do not fit.
    """
    shared = context.shared
    if not context.is_chief:
        decided = boundary_activations.load_chief_choice(shared, "cache")
        return CacheChoice(reads_cache=decided == "on")
    decided = boundary_activations.load_choices(shared).get("cache", earlier)
    if decided == "on" and (obstacle := _find_obstacle(context)):
        logging.info("cache: off; %s", obstacle)
        decided = "off"
    boundary_activations.record_choice(shared, "cache", decided)
    return CacheChoice(reads_cache=decided == "on")


def _choose_for_chief(
    context: contexts.RunContext, wanted: Literal["auto", "on", "off"]
) -> CacheChoice:
    obstacle = _find_obstacle(context)
    # Asked for and impossible is an error; left to itself, a line of the log.
    if obstacle and wanted == "on":
        raise errors.UsageError(f"--cache=on is not possible: {obstacle}.")
    if obstacle:
        logging.info("cache: off; %s", obstacle)
        return CacheChoice(reads_cache=False)
    if wanted == "on" or not boundary_activations.count_missing_bytes(context):
        if wanted == "auto":
            logging.info("cache: on; it holds every activation already")
        return CacheChoice(reads_cache=True)
    if replicas.find_worker(context.strategy)[1] > 1:
        # The chief cannot time a step alone, since workers train in step. A
        # view costs one pass of the frozen part, and so does an epoch.
        options = context.config.training
        return CacheChoice(reads_cache=options.epochs >= options.num_views)
    return _choose_faster(context)


def _find_obstacle(context: contexts.RunContext) -> str:
    """Returns why the cache cannot be read; empty if it can."""
    level = context.config.training.augmentation
    if augmentation.mixes_images(level):
        return (
            f"--augmentation={level} mixes pictures with others of their "
            "batch, which change with every epoch"
        )
    if context.networks.boundary is None:
        return (
            "nothing below the first trainable layer could be cached, or more "
            "than a few tensors cross the freeze boundary"
        )
    needed = boundary_activations.count_missing_bytes(context)
    limit = context.config.output.cache_gb
    if needed and not context.cache.make_room(needed):
        return (
            f"{entries.format_size(needed)} of features do not fit into "
            f"--cache_gb={limit:g} or onto the disk"
        )
    return ""


def _choose_faster(context: contexts.RunContext) -> CacheChoice:
    costs, trainer = _measure_costs(context)
    data, options = context.data, context.config.training
    rows = context.cache.open_activations("float32")
    names = [picture.sha256 for picture in data.pictures]
    on, off = cost_estimate.estimate_fine_tuning(
        costs,
        trained=len(data.split("train")),
        validated=len(data.split("validation")),
        missing_features=len(context.cache.features.missing(names)),
        missing_rows=len(rows.missing(names)),
        views=options.num_views,
        epochs=options.epochs,
    )
    logging.info(
        "cache: %s; fine-tuning takes about %s with it (%d views a picture, "
        "freeze boundary at %s, %s each), %s without it (--cache)",
        "on" if on < off else "off",
        cost_estimate.format_duration(on),
        options.num_views,
        ", ".join(context.networks.boundary.names),
        entries.format_size(rows.row_bytes),
        cost_estimate.format_duration(off),
    )
    if on < off:
        # It would remember the logits of a head that is not solved yet.
        reuses = not context.config.model.keeps_classes
        return CacheChoice(
            reads_cache=True, trainer=trainer if reuses else None
        )
    return CacheChoice(reads_cache=False)


def _measure_costs(
    context: contexts.RunContext,
) -> tuple[cost_estimate.Costs, keras.Model]:
    """Times a warm step of each part; the weights are as before afterwards."""
    images, load = load_batch(context)
    # Compiled, and the cores are warm.
    context.networks.compute_activations(images)
    start = time.perf_counter()
    rows = np.asarray(context.networks.compute_activations(images))
    seconds = time.perf_counter() - start
    trainer = trainers.prepare_trainer(context, context.networks.boundary)
    step = _time_step(context, trainer, rows)
    return cost_estimate.Costs(
        load=load,
        frozen=seconds / len(rows),
        step=step / len(rows),
    ), trainer


def load_batch(context: contexts.RunContext) -> tuple[tf.Tensor, float]:
    """Loads four training batches and times the last three.

    Args:
        context: The run.

    Returns:
        The first batch of pictures, [batch, size, size, 3] RGB 0..255, and the
        seconds per picture to decode, resize and augment the others.
    """
    config, train = context.config, context.data.split("train")
    size = optimizers.choose_batch_size(config.training, len(train))
    size = min(size, config.training.batch_size)
    pictures = (train * 4)[: 4 * size]
    paths = [picture.path for picture in pictures]
    batches = pipeline.build_training_batches(
        paths,
        split_targets.ArrayTargets(np.zeros([len(paths), 1])),
        epoch_order.BatchOrder(batch_size=size, seed=config.seed, epochs=1),
        context.square,
        augmentation=config.training.augmentation,
    )
    rest = iter(batches)
    # The first batch starts the pipeline, which takes seconds of its own.
    images, _ = next(rest)
    start = time.perf_counter()
    for _ in rest:
        pass
    return images, (time.perf_counter() - start) / (3 * size)


def _time_step(
    context: contexts.RunContext, trainer: keras.Model, rows: np.ndarray
) -> float:
    """Times the third of three training steps and undoes them all."""
    expected, tensors = (
        context.fit_targets("train"),
        context.networks.boundary.tensors,
    )
    places = np.arange(len(rows)) % len(expected)
    labels = np.asarray(expected.batch(places, np.zeros_like(places)))
    batches = (
        tf.data.Dataset.from_tensor_slices((rows.astype("float32"), labels))
        .repeat(3)
        .batch(len(rows))
        .map(lambda each, label: (tensors(each), label))
    )
    # Traced under training's own settings: this function is reused there.
    wanted = context.config.training.sync_batch_norm
    with (
        trainers.enter_training(context),
        replicas.synchronize_batch_norms(trainer, wanted=wanted),
    ):
        return fit.time_step(trainer, batches)
