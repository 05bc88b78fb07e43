"""Files of a finished run, read and checked without TensorFlow."""

import os
import pathlib
from collections.abc import Sequence

from tf_finetune import errors, files
from tf_finetune.config import command_configs, train_config
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract
from tf_finetune.untrusted import model_configs
from tf_finetune.workdir import recorded_config, workdir_files

FinishedConfig = (
    command_configs.EvaluateConfig
    | command_configs.PredictConfig
    | command_configs.ExportConfig
)


def load_task(path: str, allow_parts: Sequence[str] = ()) -> task_contract.Task:
    """Returns the task of the finished run in a folder.

    Args:
        path: The folder.
        allow_parts: The parts of the user's own that its run.flags may name.
    """
    config = recorded_config.load_config(
        locate_workdir(path), allowed=allow_parts
    )
    return tasks.TASKS.get(config.model.task)


def load_config_task(config: FinishedConfig) -> task_contract.Task:
    """Returns the task of the run that a command is asked for."""
    return load_task(config.workdir, config.allow_parts)


def load_train_config(config: FinishedConfig) -> train_config.TrainConfig:
    """Returns the config of the run that a command is asked for."""
    place = locate_workdir(config.workdir)
    return recorded_config.load_config(place, allowed=config.allow_parts)


def locate_workdir(path: str) -> workdir_files.Workdir:
    """Returns the workdir at a path that may begin with ~."""
    return workdir_files.Workdir(pathlib.Path(path).expanduser())


def check_models(config: FinishedConfig) -> None:
    """Raises `RunError` for model files that are not safe to open."""
    place = locate_workdir(config.workdir)
    # A missing file is reported when it is opened.
    if not os.path.lexists(place.model):
        return
    for model in (place.model, place.fusion_model):
        if os.path.lexists(model):
            model_configs.read_checked_config(model, within=place.path)


def check_writable(path: str | pathlib.Path, asked: str | None) -> None:
    """Raises `UsageError` unless results can be written, before work is done.

    Args:
        path: Where they are to go.
        asked: What `--output` says of it.
    """
    reason = files.find_write_problem(pathlib.Path(path).expanduser())
    if reason is None:
        return
    if asked:
        raise errors.UsageError(
            f"--output={asked} cannot be written: {reason}. Name another place."
        )
    raise errors.UsageError(
        f"{path} cannot be written: {reason}. Choose another place "
        "for the results with --output."
    )
