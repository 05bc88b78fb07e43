"""Completes the config of a run: unused options, workdir, absolute paths."""

import os
from collections.abc import Set

from absl import logging

from tf_finetune import errors
from tf_finetune.backbones import catalog as backbones
from tf_finetune.config import options, train_config
from tf_finetune.preflight import unused_options
from tf_finetune.tasks import catalog as tasks
from tf_finetune.weights import weights_source as weights
from tf_finetune.workdir import lifecycle


def complete_config(
    config: train_config.TrainConfig, given: Set[str]
) -> train_config.TrainConfig:
    """Completes a parsed config: resets unused options, numbers the workdir.

    Options of flagfiles that nothing reads get their defaults. A workdir that
    a flagfile names gets a number where it is taken ("runs/flowers-2"); one on
    the command line itself stays.

    Args:
        config: The config parsed from a command line.
        given: Names of the options that the command line itself sets.
    """
    config = drop_unused_options(config, given)
    if "workdir" in given:
        return config
    taken = lifecycle.number_workdir(choose_graph(make_paths_absolute(config)))
    return options.replace(config, workdir=taken.output.workdir)


def choose_graph(
    config: train_config.TrainConfig,
) -> train_config.TrainConfig:
    """Returns a config whose backbone has the graph that its weights are for.

    PyTorch's weights need torchvision's graph, "resnet50+torch", and the
    scaling of pictures that a file beside them tells. Both are named in the
    result, so that the run can be repeated. Other weights change nothing.
    With `--init_from` the scaling is that of the relative's weights.

    Raises:
        UsageError: `--preprocessing` is not that of the weights.
    """
    model = config.model
    if model.init_from is None:
        backbone = weights.choose_graph(model.backbone, model.weights)
        origin = backbone, model.weights
    else:
        backbone = model.backbone
        origin = weights.parse_origin(model.init_from)
    kind = weights.choose_preprocessing(*origin, model.preprocessing)
    return options.replace(config, backbone=backbone, preprocessing=kind)


def drop_unused_options(
    config: train_config.TrainConfig, given: Set[str]
) -> train_config.TrainConfig:
    """Returns the config with unused options of flagfiles at their defaults.

    They are logged: a flag of the command line may leave nothing to do for
    lines of a flagfile, which is no mistake. A config with an impossible
    choice is returned as it is; `preflight.train.check_config` refuses it.

    Args:
        config: The config parsed from a command line.
        given: Names of the options that the command line itself sets, which
            are never dropped.
    """
    try:
        task = tasks.TASKS.get(config.model.task)
        choices = unused_options.find_training_choices(
            config, task, task.head(config.model.head)
        )
        unused = unused_options.find_unused(config, choices)
    except (errors.UsageError, errors.DataError):
        return config  # `check_config` says what is wrong with it.
    # An option that the command line names itself is refused by `check_config`.
    dropped = {name: why for name, why in unused.items() if name not in given}
    if not dropped:
        return config
    logging.info(
        "Ignored options of the flagfile, which nothing reads: %s.",
        ", ".join(each.given for each in dropped.values()),
    )
    return options.replace(
        config,
        **{
            name: options.find_field(type(config), name).default
            for name in dropped
        },
    )


def make_paths_absolute(
    config: train_config.TrainConfig,
) -> train_config.TrainConfig:
    """Returns a config in which relative paths of existing files are absolute.

    `run.flags` then replays the run from any folder. A value that is a name
    (`--weights=imagenet`) stays one, even if a folder is called so.
    """
    spec, _ = backbones.find_spec(config.model.backbone)
    words = {
        "weights": weights.list_names(spec),
        "fail_if_not_better_than": ("probe",),
    }
    changes = {}
    for name, value in (
        ("data", config.data.data),
        ("weights", config.model.weights),
        ("class_names", config.model.class_names),
        ("tfds_data_dir", config.data.tfds_data_dir),
        ("color_map", config.data.color_map),
        ("image_root", config.data.image_root),
        ("unlabeled_data", config.unlabeled.unlabeled_data),
        ("teacher", config.unlabeled.teacher),
        ("fail_if_not_better_than", config.output.fail_if_not_better_than),
    ):
        # Shells do not expand the `~` of --data=~/a.
        path = os.path.expanduser(value) if value else ""
        is_word = value in words.get(name, ())
        if path and not is_word and os.path.exists(path):
            changes[name] = os.path.abspath(path)
    if config.model.init_from:
        # NAME=FILE, or a path alone.
        name, sign, path = config.model.init_from.rpartition("=")
        if os.path.exists(path := os.path.expanduser(path)):
            changes["init_from"] = f"{name}{sign}{os.path.abspath(path)}"
    return options.replace(config, **changes)
