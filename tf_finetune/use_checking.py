"""Checks of evaluate, predict and export that need no TensorFlow."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from tf_finetune import errors, files, unread, workdir
from tf_finetune.config import (
    data_options,
    options,
    train,
    use,
)
from tf_finetune.data import labelling, unlabelled
from tf_finetune.data.sources import catalog as sources
from tf_finetune.data.sources import csv_file
from tf_finetune.evaluation import gates
from tf_finetune.exporting import choice, destination
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract
from tf_finetune.untrusted import model_configs

_Use = use.EvaluateConfig | use.PredictConfig | use.ExportConfig

_WITHOUT_CERTAINTY = dict.fromkeys(
    ("calibrate", "out_of_distribution"),
    "it does not tell how sure its predictions are. Export without it.",
)


def check_evaluation(config: use.EvaluateConfig) -> None:
    """Raises `UsageError` unless a run can be evaluated as asked."""
    _finished(config.workdir).require_finished()
    _check_foreign(config)
    # Without --output the figures go into the workdir.
    _check_writable(config.output or config.workdir, config.output)
    gates.check_specs(config.fail_below, _task(config).figures)
    _check_models(config)


def task_of(path: str, allow_parts: Sequence[str] = ()) -> task_contract.Task:
    """Returns the task of the finished run in a folder.

    Args:
        path: The folder.
        allow_parts: The parts of the user's own that its run.flags may name.
    """
    config = workdir.config_of(_finished(path), allowed=allow_parts)
    return tasks.TASKS.get(config.model.task)


def _task(config: _Use) -> task_contract.Task:
    return task_of(config.workdir, config.allow_parts)


def _trained(config: _Use) -> train.TrainConfig:
    place = _finished(config.workdir)
    return workdir.config_of(place, allowed=config.allow_parts)


def evaluation_labels(config: use.EvaluateConfig) -> labelling.Labels:
    """Returns the labels of an evaluation: their form and classes."""
    task = _task(config)
    if not config.data:
        return task.labels
    described = _finished(config.workdir).described(task.described)
    return task.labels.learnt(described)


def evaluation_source(config: use.EvaluateConfig) -> data_options.DataOptions:
    """Returns where the pictures of an evaluation come from.

    Raises:
        UsageError: Its columns are not those of the run.
    """
    trained = _trained(config).data
    if not config.data:
        return trained
    return data_options.DataOptions(
        data=config.data,
        data_format=config.data_format,
        class_level=config.class_level,
        image_column=config.image_column or trained.image_column,
        image_root=config.image_root,
        label_column=_label_column(config, trained.label_column),
        label_separator=config.label_separator,
        missing_label=trained.missing_label,  # Has no flag here.
        numeric_columns=trained.numeric_columns,
        categorical_columns=trained.categorical_columns,
        ignore_label=trained.ignore_label,
        color_map=trained.color_map,
        tfds_data_dir=config.tfds_data_dir,
    )


def _label_column(
    config: use.EvaluateConfig, trained: tuple[str, ...]
) -> tuple[str, ...]:
    """Returns the columns of labels, in the run's order if that matters."""
    asked = config.label_column or trained
    if not _task(config).labels.are_columns:
        return asked
    if sorted(asked) != sorted(trained):  # The outputs of the model.
        raise errors.UsageError(
            f"--label_column={','.join(asked)}: the run in {config.workdir} "
            f"was trained on {','.join(trained)}, and is evaluated on columns "
            "of these names, in any order."
        )
    return trained


def _check_foreign(config: use.EvaluateConfig) -> None:
    """Raises `UsageError` for data options that do not fit the pictures."""
    if config.data:
        source, labels = evaluation_source(config), evaluation_labels(config)
        unread.check(
            config,
            [
                *unread.of_task(config, _task(config)),
                *unread.of_format(config, source, labels),
            ],
        )
        return
    for name, got in unread.asked(config).items():
        if name in ("data_format", "label_separator", *sources.READERS):
            raise errors.UsageError(
                f"{got} says how --data is read; without it the run's own "
                "pictures are read as they were. Give --data, or leave "
                f"--{name} out."
            )


def check_prediction(config: use.PredictConfig) -> None:
    """Raises `UsageError` unless a run can predict as asked."""
    _finished(config.workdir).require_finished()
    task = _task(config)
    unread.check(config, unread.of_task(config, task))
    if config.output:
        _check_writable(config.output, config.output)
    _check_columns(config)
    if config.window_overlap is not None:
        _check_windows(config, task)
    _check_models(config)


def _check_windows(config: use.PredictConfig, task: task_contract.Task) -> None:
    """Raises `UsageError` for windows where no masks are written."""
    got = f"--window_overlap={config.window_overlap:g}"
    if not task.files_at:  # Its predictions are no masks.
        raise errors.UsageError(
            f"{got} is for tasks that predict masks, and the run in "
            f"--workdir={config.workdir} is of --task={task.name}. Leave it "
            "out."
        )
    if not config.output:
        raise errors.UsageError(
            f"{got} is for masks in files: give --output, a folder."
        )


def prediction_paths(config: use.PredictConfig) -> list[str]:
    """Returns the paths of the pictures to predict; empty for rows.

    Raises:
        DataError: There are none, or the table that names them is unusable.
    """
    if takes_rows(config.workdir):
        return []
    if csv_file.is_table(config.data):
        return csv_file.list_paths(prediction_source(config))
    return unlabelled.find(config.data)


def prediction_source(config: use.PredictConfig) -> data_options.DataOptions:
    """Returns the options that read a table of pictures to predict."""
    trained = _trained(config).data
    return dataclasses.replace(
        trained,
        data=config.data,
        image_column=config.image_column or trained.image_column,
        image_root=config.image_root,
    )


def _check_columns(config: use.PredictConfig) -> None:
    """Raises `UsageError` for options of tables without a table."""
    if csv_file.is_table(config.data):
        return
    for name in ("image_column", "image_root"):
        if name in (got := unread.asked(config)):
            raise errors.UsageError(
                f"{got[name]} is for a CSV file that names pictures, and "
                f"--data={config.data} is not one. Leave it out."
            )


def check_export(config: use.ExportConfig) -> None:
    """Raises `UsageError` unless a run can be exported as asked."""
    place = _finished(config.workdir)
    place.require_finished()
    for name in config.format:
        choice.check_name(name)
        if place.takes_rows:
            choice.check_rows(name)
        choice.check_extra(name)
    destination.check(config.output, config.format)
    _check_writable(config.output or place.export, config.output)
    own = (place.model, place.weights, place.fused)
    destination.check_apart(config.output, config.format, own)
    losses = _task(config).exports.losses
    choice.check_tolerance(config.tolerance, config.format, losses)
    _check_root(config.image_root)
    _check_refused(config)
    if config.calibrate:
        _check_validation(place)
    _check_models(config)


def export_source(config: use.ExportConfig) -> train.TrainConfig | None:
    """Returns the config of the run if its pictures are needed, else None."""
    if not config.calibrate:
        return None
    source = _trained(config)
    data = pathlib.Path(source.data.data)
    if config.image_root is None or data.exists():
        return source
    # A folder that was moved, or a table that was moved with its pictures.
    root = pathlib.Path(config.image_root).expanduser()
    table = root / data.name
    now = table if data.suffix and table.is_file() else root
    return options.replace(source, data=str(now))


def _check_models(config: _Use) -> None:
    """Raises `RunError` for model files that are not safe to open."""
    place = _finished(config.workdir)
    # A missing file is reported when it is opened.
    if not os.path.lexists(place.model):
        return
    for model in (place.model, place.fused):
        if os.path.lexists(model):
            model_configs.check(model, within=place.path)


def _check_writable(path: str | pathlib.Path, asked: str | None) -> None:
    """Raises `UsageError` unless results can be written, before work is done.

    Args:
        path: Where they are to go.
        asked: What `--output` says of it.
    """
    reason = files.why_unwritable(pathlib.Path(path).expanduser())
    if reason is None:
        return
    if asked:
        raise errors.UsageError(
            f"--output={asked} cannot be written: {reason}. Name another place."
        )
    raise errors.UsageError(
        f"{path} cannot be written: {reason}. Say with --output where the "
        "results go."
    )


def _check_root(root: str | None) -> None:
    if root is not None and not pathlib.Path(root).expanduser().is_dir():
        raise errors.UsageError(
            f"--image_root={root} is not a folder; give the folder that holds "
            "the run's pictures now."
        )


def _check_refused(config: use.ExportConfig) -> None:
    """Raises `UsageError` for an option that the task does not support."""
    task = _task(config)
    reasons = {} if task.certainty_at else _WITHOUT_CERTAINTY
    for name, reason in {**reasons, **task.refused}.items():
        if getattr(config, name):
            raise errors.UsageError(
                f"--{name} is not for --task={task.name}: {reason}"
            )


def _check_validation(place: workdir.Workdir) -> None:
    if not place.counts().get("validation"):
        raise errors.UsageError(
            "--calibrate needs validation pictures, and the run in "
            f"{place.path} has none: {place.data_json.name} names none. Export "
            "without it, or train again with --validation_fraction above 0."
        )


def takes_rows(path: str) -> bool:
    """Whether the finished run in a folder takes whole rows of a table."""
    return _finished(path).takes_rows


def _finished(path: str) -> workdir.Workdir:
    return workdir.Workdir(pathlib.Path(path).expanduser())
