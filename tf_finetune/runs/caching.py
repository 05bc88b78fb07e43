"""Whether fine-tuning reads the frozen part's output from the cache."""

import dataclasses
import time

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors, files
from tf_finetune.adaptation import cutting
from tf_finetune.cache import entries
from tf_finetune.data import augmentation, pipeline
from tf_finetune.runs import course as courses
from tf_finetune.runs import crossing, frozen
from tf_finetune.training import estimate, fit, optimizers

_GB = 1e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """How fine-tuning is fed.

    Attributes:
        target: The cut and the store of what crosses it; None: pictures.
        trainer: The part above the cut, compiled while it was measured; None
            if nothing was.
    """

    target: frozen.Target | None
    trainer: keras.Model | None = None


def choose(course: courses.Course, cache: frozen.Cache) -> Choice:
    """Decides once a run, and remembers it for a resumed one.

    Raises:
        UsageError: `--cache=on` and the network or the data do not allow it.
    """
    wanted = course.config.output.cache
    if not course.fine_tunes:
        return Choice(target=None)
    note = course.place.checkpoints / "cache.json"
    if note.exists():
        wanted = files.read_json(note)["cache"]
    if wanted == "off":
        return Choice(target=None)
    target, obstacle = _target(course, cache)
    if obstacle and wanted == "on":
        raise errors.UsageError(f"--cache=on is not possible: {obstacle}.")
    if obstacle:
        logging.info("cache: off; %s", obstacle)
        choice = Choice(target=None)
    elif wanted == "on" or not crossing.missing_bytes(course, cache, target[0]):
        if wanted == "auto":
            logging.info("cache: on; everything is in it already")
        choice = Choice(target=target)
    else:
        choice = _cheaper(course, cache, target)
    files.write_json(note, {"cache": "on" if choice.target else "off"})
    return choice


def _target(
    course: courses.Course, cache: frozen.Cache
) -> tuple[frozen.Target | None, str]:
    """Returns the cut and its store, or why there is none."""
    level = course.config.training.augmentation
    if augmentation.mixes(level):
        return None, (
            f"--augmentation={level} mixes pictures with others of their "
            "batch, which are others in every epoch"
        )
    cut = courses.cut(course)
    if cut is None:
        return None, (
            "nothing that could be computed once lies below the first layer "
            "that trains, or more than a few tensors cross there"
        )
    store = cache.store(cut, "float32")
    needed = crossing.missing_bytes(course, cache, cut)
    limit = course.config.output.cache_gb
    if not entries.make_room(course.cache_dir, needed, limit_bytes=limit * _GB):
        return None, (
            f"{entries.size_text(needed)} of features do not fit into "
            f"--cache_gb={limit:g} or onto the disk"
        )
    return (cut, store), ""


def _cheaper(
    course: courses.Course, cache: frozen.Cache, target: frozen.Target
) -> Choice:
    costs, trainer = _measured(course, cache, target)
    data = course.data
    on, off = estimate.paths(
        costs,
        trained=len(data.split("train")),
        validated=len(data.split("validation")),
        pictures=len(data.pictures),
        views=crossing.num_views(course),
        epochs=course.config.training.epochs,
    )
    cut, store = target
    logging.info(
        "cache: %s; fine-tuning takes about %s with it (%d views a picture, "
        "cut at %s, %s each), %s without (--cache)",
        "on" if on < off else "off",
        estimate.duration(on),
        crossing.num_views(course),
        ", ".join(cut.names),
        entries.size_text(store.row_bytes),
        estimate.duration(off),
    )
    if on < off:
        return Choice(target=target, trainer=trainer)
    return Choice(target=None)


def _measured(
    course: courses.Course, cache: frozen.Cache, target: frozen.Target
) -> tuple[estimate.Costs, keras.Model]:
    """Times two steps of each part; the weights are as before afterwards."""
    config = course.config
    train = course.data.split("train")
    size = optimizers.batch_size(config.training, len(train))
    size = min(size, config.training.batch_size)
    pictures = (train * 2)[: 2 * size]
    paths = [picture.path for picture in pictures]
    kind = {"image_size": course.image_size, "resize": config.model.resize}
    plain = pipeline.evaluation_images(paths, batch_size=size, **kind)
    changed = pipeline.training_batches(
        paths,
        np.zeros([len(paths), 1], "float32"),
        batch_size=size,
        augmentation=config.training.augmentation,
        seed=config.seed,
        first_epoch=0,
        epochs=1,
        **kind,
    )
    load, change = _seconds_to_read(plain), _seconds_to_read(changed)
    images = next(iter(plain))
    network = cache.network(target, with_features=True)
    rows = np.asarray(network(images)[-1])
    start = time.perf_counter()
    rows = np.asarray(network(images)[-1])
    seconds = time.perf_counter() - start
    trainer = courses.compiled(course, target[0])
    step = _seconds_of_step(course, target[0], trainer, rows)
    return estimate.Costs(
        load=load / len(paths),
        change=change / len(paths),
        frozen=seconds / len(rows),
        step=step / len(rows),
    ), trainer


def _seconds_to_read(batches: tf.data.Dataset) -> float:
    start = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - start


def _seconds_of_step(
    course: courses.Course,
    cut: cutting.Cut,
    trainer: keras.Model,
    rows: np.ndarray,
) -> float:
    """Times the third of three training steps and undoes them all."""
    targets = course.targets("train")
    labels = np.resize(targets, [len(rows), *targets.shape[1:]])
    batches = (
        tf.data.Dataset.from_tensor_slices((rows.astype("float32"), labels))
        .repeat(3)
        .batch(len(rows))
        .map(lambda each, label: (cut.crossing(each), label))
    )
    with course.strategy.scope(), courses.in_precision(course):
        return fit.seconds_of_step(trainer, batches)
