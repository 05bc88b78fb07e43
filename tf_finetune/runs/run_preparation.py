"""Prepares a run: devices, the built model, cleaned pictures."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence

import tensorflow as tf
from absl import logging

from tf_finetune import environment
from tf_finetune.adaptation import method
from tf_finetune.config import options, train_config
from tf_finetune.data import data_statistics, examples, progress, scan
from tf_finetune.data.images import image_warnings, verification
from tf_finetune.feature_cache import fill
from tf_finetune.model import assembly, freeze_boundary, inference
from tf_finetune.runs import cache_choice, run_cache
from tf_finetune.runs import context as contexts
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training.devices import batch_size_search as batch_sizes
from tf_finetune.training.devices import device_settings
from tf_finetune.training.distributed import strategies
from tf_finetune.weights import weights_file
from tf_finetune.workdir import lifecycle, workdir_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Model:
    """The parts of a run context that are built before pictures are decoded."""

    assembly: assembly.Assembly
    adapted: method.Adapted
    networks: inference.CompiledNetworks
    stages: Sequence[contexts.PreparedStage]


def prepare_run(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    held: contextlib.ExitStack,
    largest_batch: int | None = None,
) -> contexts.RunContext:
    """Builds the model, decodes every picture once and splits the data.

    Features that the cache lacks are computed while pictures are decoded.

    Args:
        config: The config that the user asked for.
        inspected: Pictures whose headers were read.
        place: Workdir for results.
        held: Until it is closed, cache entries of the run are not evicted and
            the end of another worker is reported.
        largest_batch: Largest batch that fits, with `--batch_size=auto`.

    Returns:
        The context; its model has pretrained weights and a random head.

    Raises:
        UsageError: Backbone, weights, surgery or `--trainable` are impossible.
        RunError: The weights cannot be read or matched.
        DataError: Too few pictures decode, or not all with `--bad_data=error`.
    """
    with progress.skip_repeated_messages(inspected.logged_messages):
        strategy = _prepare_devices(config, held)
        model = _build_model(config, inspected, strategy)
        # The cache computes in batches of the size that fits.
        size = largest_batch or config.training.batch_size
        sized = options.replace(config, batch_size=size)
        # The chief decodes; the others read its verdicts from the cache.
        with strategies.run_chief_first(strategy):
            cache, problems = _fill_cache(sized, inspected, model, held)
        data = _complete_data(config, inspected, problems)
        _report_statistics(model.assembly, data, config)
        # Only now: some tasks need the pictures, for label statistics.
        task = tasks.TASKS.get(config.model.task).fit_to_data(data, config)
        # An adapted task may end in other constants (target statistics).
        built = assembly.replace_output_activation(model.assembly, task)
        model.networks.replace_model(built.model)
    return contexts.RunContext(
        config=_set_batch_size(config, data, largest_batch),
        requested_config=config,
        largest_batch=largest_batch,
        place=place,
        shared=_choose_shared_workdir(place, strategy, config),
        data=data,
        task=task,
        assembly=built,
        adapted=model.adapted,
        networks=model.networks,
        cache=cache,
        strategy=strategy,
        settings=_choose_settings(strategy, config),
        stages=model.stages,
    )


def _prepare_devices(
    config: train_config.TrainConfig, held: contextlib.ExitStack
) -> tf.distribute.Strategy:
    """Sets up determinism and devices; `held` reports a worker's end."""
    # Before any operation runs.
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = strategies.build_strategy(
        config.training.strategy, tpu=config.training.tpu
    )
    held.enter_context(strategies.report_lost_worker(strategy))
    return strategy


def _choose_shared_workdir(
    place: workdir_files.Workdir,
    strategy: tf.distribute.Strategy,
    config: train_config.TrainConfig,
) -> workdir_files.Workdir:
    """Returns the chief's workdir, from which all workers read checkpoints."""
    is_chief = strategies.is_chief(strategy)
    return place if is_chief else lifecycle.choose_workdir(config)


def _choose_settings(
    strategy: tf.distribute.Strategy, config: train_config.TrainConfig
) -> device_settings.Settings:
    return device_settings.choose_settings(
        device_settings.detect_device(strategy),
        config.training.precision,
        onednn=environment.describe_onednn(),
    )


def _build_model(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    strategy: tf.distribute.Strategy,
) -> _Model:
    """Builds the network, filled from another one if that is asked for."""
    task = tasks.TASKS.get(config.model.task)
    weights, filled = config.model.weights, None
    if config.model.init_from:
        from tf_finetune.runs import filled_backbone

        # The chief fills the network; the others read it from the cache.
        with strategies.run_chief_first(strategy):
            filled = filled_backbone.fill_backbone(config, inspected)
        weights = str(filled.path)
    with strategy.scope():
        built = method.build_model(
            config.model,
            task,
            inspected.class_names,
            config.seed,
            weights=weights,
        )
        if filled:
            loaded = filled.describe(built.loaded)
            built = dataclasses.replace(built, loaded=loaded)
        return _adapt_and_split(config, built)


def _adapt_and_split(
    config: train_config.TrainConfig, built: assembly.Assembly
) -> _Model:
    """Adapts the network and splits it below the first layer that trains."""
    stages: Sequence[contexts.PreparedStage] = ()
    if config.training.stages:
        from tf_finetune.runs import stage_preparation  # Only for stages.

        stages = stage_preparation.prepare_stages(config, built)
        adapted, cut = stages[0].adapted, stages[0].boundary
    else:
        adapt = method.get_method(config.model.adaptation)
        adapted, cut = adapt(built, config.model), None
        if contexts.fine_tunes(config, adapted):
            # Everything below the first of these layers is computed once.
            moving = {*adapted.trained, *built.head_layers}
            cut = freeze_boundary.find_boundary(built.trainer, moving)
    return _Model(
        assembly=built,
        adapted=adapted,
        networks=inference.CompiledNetworks(built, cut),
        stages=stages,
    )


def _fill_cache(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    model: _Model,
    held: contextlib.ExitStack,
) -> tuple[run_cache.RunCache, dict[str, str]]:
    """Decodes the pictures into the run's cache; returns also the problems."""
    cache = run_cache.RunCache(config, model.assembly, model.networks, held)
    problems = decode_and_extract(
        inspected.pictures, config, model.networks, cache
    )
    return cache, problems


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
    if config.output.withhold_test:
        data = examples.withhold_test(data)
    logging.info("%s", data_statistics.format_summary(data))
    return data


def _report_statistics(
    built: assembly.Assembly,
    data: examples.ImageData,
    config: train_config.TrainConfig,
) -> None:
    """Reports how weights from PyTorch fit the pictures' statistics."""
    path = built.loaded and built.loaded.path
    if path and path.is_file() and weights_file.detect_kind(path) == "torch":
        from tf_finetune.runs import statistics_check  # Only for such files.

        pictures = data.split("train")
        statistics_check.report_fit(built.backbone, pictures, config)


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


def decode_and_extract(
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
    networks: inference.CompiledNetworks,
    cache: run_cache.RunCache,
) -> dict[str, str]:
    """Decodes pictures and computes their features in the same pass.

    Pictures with a cached decode result are skipped. Activations at the freeze
    boundary are computed too, where fine-tuning will read them and they fit.

    Args:
        pictures: Pictures whose headers are fine.
        config: The run's config; its batch size is that of each forward pass.
        networks: The model, compiled.
        cache: Stores that the outputs are written to.

    Returns:
        By path, the reason why a picture cannot be decoded; empty if all can.
    """
    names = [picture.sha256 for picture in pictures]
    into = [cache.features]
    if cache_choice.will_read_activations(config, networks):
        if config.training.num_views > 1:
            # Opened, so that making room does not evict it.
            cache.open_activations("float16")
        rows = cache.open_activations("float32")
        # Without room the features of the head are computed alone.
        if cache.make_room(len(rows.missing(names)) * rows.row_bytes):
            into.append(rows)

    def network(images: tf.Tensor) -> list[tf.Tensor]:
        step = networks.pretrained_step(with_rows=len(into) > 1)
        return step(images).tensors

    filler = fill.StreamFiller(into, network, names, config.training.batch_size)
    return verification.decode_pictures(
        pictures,
        cache_dir=config.output.cache_folder,
        square=config.model.make_square(networks.image_size),
        use=filler.add,
        finish=filler.finish,
        report=functools.partial(
            image_warnings.warn_of_oddities, pixels=config.model.pixels
        ),
    )
