"""Decides if fine-tuning reads cached activations instead of pictures."""

import dataclasses
import time
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors
from tf_finetune.cache import entries
from tf_finetune.data import pipeline, targets
from tf_finetune.data.augmenting import augmentation
from tf_finetune.runs import course as courses
from tf_finetune.runs import crossing, decisions
from tf_finetune.training import fit, optimizers
from tf_finetune.training.devices import estimate
from tf_finetune.training.distributed import replicas


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The input of fine-tuning: cached activations or pictures.

    Attributes:
        reads_cache: Whether it reads cached activations at the freeze
            boundary; else pictures.
        trainer: The part above the boundary, compiled while it was timed;
            None if nothing was timed.
    """

    reads_cache: bool
    trainer: keras.Model | None = None


def choose(course: courses.Course) -> Choice:
    """Decides once a run; a resumed run and other workers read it.

    Raises:
        UsageError: `--cache=on` and the network or the data do not allow it.
    """
    known = decisions.known(course.shared)
    wanted = known.get("cache", course.config.output.cache)
    if not course.fine_tunes or wanted == "off":
        return Choice(reads_cache=False)
    if not course.is_chief:
        decided = decisions.of_chief(course.shared, "cache")
        return Choice(reads_cache=decided == "on")
    choice = _chosen(course, wanted)
    decided = "on" if choice.reads_cache else "off"
    decisions.note(course.shared, "cache", decided)
    return choice


def _chosen(
    course: courses.Course, wanted: Literal["auto", "on", "off"]
) -> Choice:
    obstacle = _obstacle(course)
    # Asked for and impossible is an error; left to itself, a line of the log.
    if obstacle and wanted == "on":
        raise errors.UsageError(f"--cache=on is not possible: {obstacle}.")
    if obstacle:
        logging.info("cache: off; %s", obstacle)
        return Choice(reads_cache=False)
    if wanted == "on" or not crossing.missing_bytes(course):
        if wanted == "auto":
            logging.info("cache: on; it holds every activation already")
        return Choice(reads_cache=True)
    if replicas.worker_of(course.strategy)[1] > 1:
        # The chief cannot time a step alone, since workers train in step. A
        # view costs one pass of the frozen part, and so does an epoch.
        options = course.config.training
        return Choice(reads_cache=options.epochs >= options.num_views)
    return _cheaper(course)


def _obstacle(course: courses.Course) -> str:
    """Returns why the cache cannot be read; empty if it can."""
    level = course.config.training.augmentation
    if augmentation.mixes(level):
        return (
            f"--augmentation={level} mixes pictures with others of their "
            "batch, which change with every epoch"
        )
    if course.networks.cut is None:
        return (
            "nothing below the first trainable layer could be cached, or more "
            "than a few tensors cross the freeze boundary"
        )
    needed = crossing.missing_bytes(course)
    limit = course.config.output.cache_gb
    if not course.cache.make_room(needed):
        return (
            f"{entries.size_text(needed)} of features do not fit into "
            f"--cache_gb={limit:g} or onto the disk"
        )
    return ""


def _cheaper(course: courses.Course) -> Choice:
    costs, trainer = _measured(course)
    data, options = course.data, course.config.training
    rows = course.cache.crossing("float32")
    names = [picture.sha256 for picture in data.pictures]
    on, off = estimate.paths(
        costs,
        trained=len(data.split("train")),
        validated=len(data.split("validation")),
        missing_features=len(course.cache.features.missing(names)),
        missing_rows=len(rows.missing(names)),
        views=options.num_views,
        epochs=options.epochs,
    )
    logging.info(
        "cache: %s; fine-tuning takes about %s with it (%d views a picture, "
        "freeze boundary at %s, %s each), %s without it (--cache)",
        "on" if on < off else "off",
        estimate.duration(on),
        options.num_views,
        ", ".join(course.networks.cut.names),
        entries.size_text(rows.row_bytes),
        estimate.duration(off),
    )
    if on < off:
        return Choice(reads_cache=True, trainer=trainer)
    return Choice(reads_cache=False)


def _measured(course: courses.Course) -> tuple[estimate.Costs, keras.Model]:
    """Times a warm step of each part; the weights are as before afterwards."""
    config = course.config
    train = course.data.split("train")
    size = optimizers.batch_size(config.training, len(train))
    size = min(size, config.training.batch_size)
    # Two batches are loaded and timed; the first of them is computed on.
    pictures = (train * 2)[: 2 * size]
    paths = [picture.path for picture in pictures]
    batches = pipeline.training_batches(
        paths,
        targets.Array(np.zeros([len(paths), 1])),
        batch_size=size,
        augmentation=config.training.augmentation,
        seed=config.seed,
        first_epoch=0,
        epochs=1,
        image_size=course.image_size,
        resize=config.model.resize,
        pixels=config.model.pixels,
    )
    start = time.perf_counter()
    (images, _), *_ = batches
    load = time.perf_counter() - start
    course.networks.prefix(images)  # Compiled, and the cores are warm.
    start = time.perf_counter()
    rows = np.asarray(course.networks.prefix(images))
    seconds = time.perf_counter() - start
    trainer = courses.compiled(course, course.networks.cut)
    step = _seconds_of_step(course, trainer, rows)
    return estimate.Costs(
        load=load / len(paths),
        frozen=seconds / len(rows),
        step=step / len(rows),
    ), trainer


def _seconds_of_step(
    course: courses.Course, trainer: keras.Model, rows: np.ndarray
) -> float:
    """Times the third of three training steps and undoes them all."""
    expected, tensors = course.targets("train"), course.networks.cut.tensors
    places = np.arange(len(rows)) % len(expected)
    labels = np.asarray(expected.batch(places, np.zeros_like(places)))
    batches = (
        tf.data.Dataset.from_tensor_slices((rows.astype("float32"), labels))
        .repeat(3)
        .batch(len(rows))
        .map(lambda each, label: (tensors(each), label))
    )
    # Traced under training's own settings: this function is reused there.
    wanted = course.config.training.sync_batch_norm
    with (
        course.strategy.scope(),
        courses.in_precision(course),
        replicas.synchronized(trainer, wanted=wanted),
    ):
        return fit.seconds_of_step(trainer, batches)
