"""Prepares a run: devices, the built model, cleaned pictures."""

import contextlib
import dataclasses
from collections.abc import Mapping

import tensorflow as tf
from absl import logging

from tf_finetune import assembly, environment, lifecycle, workdir
from tf_finetune.adaptation import cutting, freezing
from tf_finetune.config import options, train
from tf_finetune.data import examples, statistics, survey
from tf_finetune.runs import course as courses
from tf_finetune.runs import first_look, frozen
from tf_finetune.runs import networks as compiled_networks
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract
from tf_finetune.training.devices import batch_size as batch_sizes
from tf_finetune.training.devices import device_settings
from tf_finetune.training.distributed import distribution, workers


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Model:
    """The parts of a `Course` that are built before pictures are decoded."""

    built: assembly.Assembly
    selection: freezing.Selection
    networks: compiled_networks.Networks


def prepare(
    config: train.TrainConfig,
    inspected: survey.Inspected,
    place: workdir.Workdir,
    held: contextlib.ExitStack,
    largest_batch: int | None = None,
) -> courses.Course:
    """Builds the model, decodes every picture once and divides them.

    Args:
        config: The config asked for.
        inspected: The pictures.
        place: Where results go.
        held: Until it is closed, it keeps the run's cache entries from being
            evicted, and reports the end of another worker.
        largest_batch: The batch size that fits, if that is asked for.
    """
    # Before any operation runs.
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = distribution.strategy(
        config.training.strategy, tpu=config.training.tpu
    )
    held.enter_context(workers.watched(strategy))
    task = tasks.TASKS.get(config.model.task)
    size = largest_batch or config.training.batch_size
    with strategy.scope():
        model = _model(config, task, inspected)
    with workers.chief_first(strategy):
        # The cache computes in batches of the size that fits.
        sized = options.replace(config, batch_size=size)
        cache = frozen.Cache(sized, model.built, model.networks, held)
        # The chief decodes; the others read its verdicts from the cache.
        problems = first_look.problems(
            inspected.pictures, config, model.networks, cache, batch_size=size
        )
    data = _complete(config, inspected, problems)
    # Only now: some tasks need the pictures, for statistics of their labels.
    task = task.adapted(data, config)
    # A task that was adapted may end in other constants (target statistics).
    built = assembly.ended(model.built, task)
    model.networks.end_with(built.model)
    return courses.Course(
        config=_settled(config, data, largest_batch),
        asked=config,
        largest_batch=largest_batch,
        place=place,
        shared=place
        if workers.is_chief(strategy)
        else lifecycle.choose(config),
        data=data,
        task=task,
        built=built,
        selection=model.selection,
        networks=model.networks,
        cache=cache,
        strategy=strategy,
        settings=device_settings.settings(
            device_settings.device(strategy),
            config.training.precision,
            onednn=environment.onednn(),
        ),
    )


def _model(
    config: train.TrainConfig,
    task: task_contract.Task,
    inspected: survey.Inspected,
) -> _Model:
    """Builds the network, split below the first layer that trains."""
    built = assembly.build(
        config.model,
        task,
        inspected.class_names,
        config.seed,
        weights=config.model.weights,
    )
    selection = freezing.select(
        built.backbone,
        config.model.trainable,
        freeze_batch_norm=config.model.freeze_batch_norm,
    )
    cut = None
    if courses.fine_tunes(config, selection):
        moving = {*selection.layer_names, *built.head_layers}
        # Everything below the first of these layers is computed once.
        cut = cutting.cut(built.trainer, moving)
    networks = compiled_networks.Networks(built, cut)
    return _Model(built=built, selection=selection, networks=networks)


def _complete(
    config: train.TrainConfig,
    inspected: survey.Inspected,
    problems: Mapping[str, str],
) -> examples.ImageData:
    """Returns the pictures without problems, divided into splits."""
    data = dataclasses.replace(
        survey.complete(inspected, problems, config.data, seed=config.seed),
        resize=config.model.resize,
        pixels=config.model.pixels,
    )
    logging.info("%s", statistics.summary(data))
    return data


def _settled(
    config: train.TrainConfig,
    data: examples.ImageData,
    largest_batch: int | None,
) -> train.TrainConfig:
    """Returns the config with a batch size that was found, if one was."""
    # The learning rate changes with a batch size that was found.
    if largest_batch is None:
        return config
    num_examples = len(data.split("train"))
    return batch_sizes.settled(config, largest_batch, num_examples)
