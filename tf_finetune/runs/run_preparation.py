"""Prepares a run: devices, the built model, cleaned pictures."""

import contextlib
import dataclasses
from collections.abc import Mapping

import tensorflow as tf
from absl import logging

from tf_finetune import environment
from tf_finetune.adaptation import catalog as adaptation
from tf_finetune.adaptation import method
from tf_finetune.config import options, train_config
from tf_finetune.data import data_statistics, examples, scan
from tf_finetune.model import assembly, freeze_boundary
from tf_finetune.runs import compiled_networks, picture_scan, run_cache
from tf_finetune.runs import context as contexts
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract
from tf_finetune.training.devices import batch_size_search as batch_sizes
from tf_finetune.training.devices import device_settings
from tf_finetune.training.distributed import strategies, workers
from tf_finetune.workdir import lifecycle, workdir_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Model:
    """The parts of a run context that are built before pictures are decoded."""

    assembly: assembly.Assembly
    adapted: method.Adapted
    networks: compiled_networks.CompiledNetworks


def prepare_run(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    held: contextlib.ExitStack,
    largest_batch: int | None = None,
) -> contexts.RunContext:
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
    strategy = strategies.build_strategy(
        config.training.strategy, tpu=config.training.tpu
    )
    held.enter_context(workers.report_lost_worker(strategy))
    task = tasks.TASKS.get(config.model.task)
    size = largest_batch or config.training.batch_size
    with strategy.scope():
        model = _build_model(config, task, inspected)
    with workers.run_chief_first(strategy):
        # The cache computes in batches of the size that fits.
        sized = options.replace(config, batch_size=size)
        cache = run_cache.RunCache(sized, model.assembly, model.networks, held)
        # The chief decodes; the others read its verdicts from the cache.
        problems = picture_scan.decode_and_extract(
            inspected.pictures, config, model.networks, cache, batch_size=size
        )
    data = _complete_data(config, inspected, problems)
    # Only now: some tasks need the pictures, for statistics of their labels.
    task = task.fit_to_data(data, config)
    # A task that was adapted may end in other constants (target statistics).
    built = assembly.replace_output_activation(model.assembly, task)
    model.networks.replace_model(built.model)
    return contexts.RunContext(
        config=_set_batch_size(config, data, largest_batch),
        requested_config=config,
        largest_batch=largest_batch,
        place=place,
        shared=place
        if workers.is_chief(strategy)
        else lifecycle.choose_workdir(config),
        data=data,
        task=task,
        assembly=built,
        adapted=model.adapted,
        networks=model.networks,
        cache=cache,
        strategy=strategy,
        settings=device_settings.choose_settings(
            device_settings.detect_device(strategy),
            config.training.precision,
            onednn=environment.describe_onednn(),
        ),
    )


def _build_model(
    config: train_config.TrainConfig,
    task: task_contract.Task,
    inspected: scan.InspectedPictures,
) -> _Model:
    """Builds the network, split below the first layer that trains."""
    built = assembly.build_model(
        config.model,
        task,
        inspected.class_names,
        config.seed,
        weights=config.model.weights,
    )
    adapt = adaptation.METHODS.get(config.model.adaptation)
    adapted = adapt(built, config.model)
    cut = None
    if contexts.fine_tunes(config, adapted):
        moving = {*adapted.trained, *built.head_layers}
        # Everything below the first of these layers is computed once.
        cut = freeze_boundary.find_boundary(built.trainer, moving)
    networks = compiled_networks.CompiledNetworks(built, cut)
    return _Model(assembly=built, adapted=adapted, networks=networks)


def _complete_data(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    problems: Mapping[str, str],
) -> examples.ImageData:
    """Returns the pictures without problems, divided into splits."""
    data = dataclasses.replace(
        scan.clean_and_split(
            inspected, problems, config.data, seed=config.seed
        ),
        resize=config.model.resize,
        pixels=config.model.pixels,
    )
    logging.info("%s", data_statistics.format_summary(data))
    return data


def _set_batch_size(
    config: train_config.TrainConfig,
    data: examples.ImageData,
    largest_batch: int | None,
) -> train_config.TrainConfig:
    """Returns the config with a batch size that was found, if one was."""
    # The learning rate changes with a batch size that was found.
    if largest_batch is None:
        return config
    num_examples = len(data.split("train"))
    return batch_sizes.apply_batch_size(config, largest_batch, num_examples)
