"""Checks of predict that need no TensorFlow."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from tf_finetune import errors
from tf_finetune.config import command_configs, data_options
from tf_finetune.data import unlabeled_files
from tf_finetune.data.sources import csv_file
from tf_finetune.preflight import finished_run_files, unused_options
from tf_finetune.tasks import task as task_contract

if TYPE_CHECKING:
    from tf_finetune.inputs import input_rows


def check_prediction(config: command_configs.PredictConfig) -> None:
    """Checks that a finished run can predict with these options.

    Raises:
        UsageError: An option is wrong, no finished run lies there, or the
            output cannot be written.
        RunError: A model file of the run is not safe to open.
    """
    finished_run_files.locate_workdir(config.workdir).require_finished()
    task = finished_run_files.load_config_task(config)
    unused_options.check_options(
        config,
        {
            "task": lambda: unused_options.choose_task(task, "of the run"),
            "data": lambda: _choose_data(config),
        },
    )
    if config.output:
        # Of `task.files` itself, TensorFlow would be imported.
        kind = "folder" if task.files_at else "file"
        if kind == "folder":
            _require_folder_name(config.output, task)
        finished_run_files.check_writable(
            config.output, config.output, kind, data=config.data
        )
    finished_run_files.check_models(config)


def _require_folder_name(output: str, task: task_contract.Task) -> None:
    """Raises `UsageError` for the name of a file where a folder is written."""
    path = pathlib.Path(output)
    # A name that ends in .csv is meant as a file, though it may not exist.
    if path.is_file() or path.suffix.lower() == ".csv":
        raise errors.UsageError(
            f"--output={output} must be a folder: predictions of "
            f"--task={task.name} are files, which go into it beside a table."
        )


def list_examples(
    config: command_configs.PredictConfig,
) -> "list[str] | list[input_rows.Row]":
    """Returns the paths of the pictures to predict, or rows of a table.

    Returns:
        Paths; rows (pictures, numbers and words of a table's line) if the run
        was trained on rows.

    Raises:
        DataError: There are none, or the table that names them is unusable.
        UsageError: The run was trained on rows, and `--data` is no table.
    """
    if finished_run_files.locate_workdir(config.workdir).takes_rows:
        return _read_rows(config)
    if csv_file.is_table(config.data):
        return csv_file.list_paths(resolve_prediction_data(config))
    return unlabeled_files.find_files(config.data)


def _read_rows(
    config: command_configs.PredictConfig,
) -> "list[input_rows.Row]":
    from tf_finetune.inputs import input_rows

    source = resolve_prediction_data(config)
    if not csv_file.is_table(config.data):
        columns = (
            name
            for names in source.input_columns.values()
            for name in (*source.image_column, *names)
        )
        raise errors.UsageError(
            f"--data={config.data} is not a CSV file, and the run in "
            f"--workdir={config.workdir} predicts rows of one, with the "
            f"columns {', '.join(dict.fromkeys(columns))}."
        )
    return input_rows.read_table(source)


def resolve_prediction_data(
    config: command_configs.PredictConfig,
) -> data_options.DataOptions:
    """Returns the run's data options, with `--data` in place of its own data.

    The columns of pictures are those of the command, if it names any.
    """
    trained = finished_run_files.load_train_config(config).data
    return dataclasses.replace(
        trained,
        data=config.data,
        image_column=config.image_column or trained.image_column,
        image_root=config.image_root,
    )


def _choose_data(
    config: command_configs.PredictConfig,
) -> unused_options.Choice:
    """Returns whether the pictures are named by a table, as a choice."""
    is_table = csv_file.is_table(config.data)
    return unused_options.Choice(
        values=[command_configs.TABLE] if is_table else [],
        shown=f"--data={config.data}",
    )
