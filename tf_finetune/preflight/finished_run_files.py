"""Files of a finished run, read and checked without TensorFlow."""

import os
import pathlib
from collections.abc import Sequence
from typing import Literal

from tf_finetune import errors, files
from tf_finetune.config import command_configs, train_config
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract
from tf_finetune.untrusted import model_configs
from tf_finetune.workdir import lifecycle, recorded_config, workdir_files

FinishedConfig = (
    command_configs.EvaluateConfig
    | command_configs.PredictConfig
    | command_configs.ExportConfig
)


def load_task(path: str, allow_parts: Sequence[str] = ()) -> task_contract.Task:
    """Returns the task that the finished run in a folder was trained for.

    Args:
        path: The workdir.
        allow_parts: Components of the user's own that its run.flags may name,
            each as "package.module:attribute"; others are not imported.

    Raises:
        UsageError: Its run.flags cannot be read, or names other components.
    """
    config = recorded_config.load_config(
        locate_workdir(path), allowed=allow_parts
    )
    return tasks.TASKS.get(config.model.task)


def load_config_task(config: FinishedConfig) -> task_contract.Task:
    """Returns the task of the run in `config.workdir`; see `load_task`."""
    return load_task(config.workdir, config.allow_parts)


def load_train_config(config: FinishedConfig) -> train_config.TrainConfig:
    """Returns the training config of the run that `config.workdir` holds.

    Raises:
        UsageError: Its run.flags cannot be read, or names a component that
            `--allow_parts` does not.
    """
    place = locate_workdir(config.workdir)
    return recorded_config.load_config(place, allowed=config.allow_parts)


def locate_workdir(path: str) -> workdir_files.Workdir:
    """Returns the `Workdir` of a path, "~" expanded; it need not exist."""
    return workdir_files.Workdir(pathlib.Path(path).expanduser())


def check_models(config: FinishedConfig) -> None:
    """Raises `RunError` if a .keras file of the run is not safe to open.

    The file's config may name plain Keras layers only; a missing file passes.
    """
    place = locate_workdir(config.workdir)
    # A missing file is reported when it is opened.
    if not os.path.lexists(place.model):
        return
    for model in (place.model, place.fusion_model):
        if os.path.lexists(model):
            model_configs.read_checked_config(model, within=place.path)


def check_writable(
    path: str | pathlib.Path,
    asked: str | None,
    kind: Literal["file", "folder"] | None = None,
    *,
    data: str | None = None,
) -> None:
    """Raises `UsageError` unless results can be written, before work is done.

    Files of a run and the data itself are not written over.

    Args:
        path: File or folder of the results; it need not exist.
        asked: The value of `--output`, for the message; None: not given.
        kind: What it must be if it exists; None: either.
        data: Value of `--data`; None: not given.
    """
    path = pathlib.Path(path).expanduser()
    reason = files.find_write_problem(path, kind)
    if reason is None and path.exists():
        reason = _find_loss(path, kind, data)
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


def _find_loss(
    path: pathlib.Path, kind: str | None, data: str | None
) -> str | None:
    """Returns the reason why a path must not be overwritten; None: it may."""
    if kind == "folder" and (path / "run.json").is_file():
        return "it is the workdir of a run"
    place = workdir_files.Workdir(path.resolve().parent)
    own = lifecycle.list_files(place) if place.run_json.is_file() else ()
    if path.resolve() in own:
        return f"it is a file of the run in {place.path}"
    source = pathlib.Path(data or "").expanduser()
    if source.is_file() and path.samefile(source):
        return "it is --data itself"
    return None
