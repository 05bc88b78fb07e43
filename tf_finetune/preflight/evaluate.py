"""Checks of evaluate that need no TensorFlow."""

from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.config import command_configs, data_options
from tf_finetune.data import class_names as names
from tf_finetune.data import label_protocol
from tf_finetune.evaluation import gates
from tf_finetune.preflight import finished_run_files, unused_options
from tf_finetune.workdir import workdir_files

_LISTED = 10


def check_evaluation(config: command_configs.EvaluateConfig) -> None:
    """Checks that a finished run can be evaluated with these options.

    Raises:
        UsageError: An option is wrong, no finished run lies there, or the
            output cannot be written.
        RunError: A model file of the run is not safe to open.
    """
    finished_run_files.locate_workdir(config.workdir).require_finished()
    if not config.data:
        _check_own_pictures(config)
    _check_data_options(config)
    # Without --output the figures go into the workdir.
    finished_run_files.check_writable(
        config.output or config.workdir,
        config.output,
        "file" if config.output else None,
        data=config.data,
    )
    figures = finished_run_files.load_config_task(config).figures
    for spec in config.fail_below:
        gates.check_spec(spec, figures)
    finished_run_files.check_models(config)


def _check_own_pictures(config: command_configs.EvaluateConfig) -> None:
    """Raises `UsageError` if a run has no labeled pictures of its own."""
    trained = finished_run_files.load_train_config(config)
    if trained.model.keep_classifier:
        raise errors.UsageError(
            f"The run in --workdir={config.workdir} keeps the classifier of "
            "its weights file and has no labeled pictures of its own. Give "
            "pictures of its classes with --data."
        )


def load_evaluation_labels(
    config: command_configs.EvaluateConfig,
) -> label_protocol.Labels:
    """Returns the run's label reader, for the pictures to evaluate on.

    For other pictures than the run's own (`--data`), it knows the run's
    classes.
    """
    if not config.data:
        return load_own_labels(config)
    task = finished_run_files.load_config_task(config)
    described = finished_run_files.locate_workdir(
        config.workdir
    ).load_description(task.build_data_schema)
    return task.labels.restore(described)


def load_own_labels(
    config: finished_run_files.FinishedConfig,
) -> label_protocol.Labels:
    """Returns the label reader by which a finished run reads its own pictures.

    See `Task.restore_labels`.
    """
    task = finished_run_files.load_config_task(config)
    place = finished_run_files.locate_workdir(config.workdir)
    return task.restore_labels(
        finished_run_files.load_train_config(config),
        place.load_description(task.build_data_schema),
    )


def resolve_evaluation_data(
    config: command_configs.EvaluateConfig,
) -> data_options.DataOptions:
    """Returns the data options of an evaluation.

    They are those of the run, or, with `--data`, those of the command; columns
    that it leaves open are as the run was trained.

    Raises:
        UsageError: The label columns are not those of the run.
    """
    trained = finished_run_files.load_train_config(config).data
    if not config.data:
        return trained
    return data_options.DataOptions(
        data=config.data,
        data_format=config.data_format,
        class_level=config.class_level,
        image_column=config.image_column or trained.image_column,
        image_root=config.image_root,
        label_column=_resolve_label_columns(config, trained.label_column),
        label_separator=config.label_separator,
        missing_label=trained.missing_label,  # Has no flag here.
        numeric_columns=trained.numeric_columns,
        categorical_columns=trained.categorical_columns,
        ignore_label=trained.ignore_label,
        color_map=trained.color_map,
        tfds_data_dir=config.tfds_data_dir,
    )


def _resolve_label_columns(
    config: command_configs.EvaluateConfig, trained: tuple[str, ...]
) -> tuple[str, ...]:
    """Returns the columns of labels, in the run's order if that matters."""
    asked = config.label_column or trained
    if not finished_run_files.load_config_task(config).labels.are_columns:
        return asked
    if sorted(asked) != sorted(trained):  # The outputs of the model.
        raise errors.UsageError(
            f"--label_column={','.join(asked)}: the run in {config.workdir} "
            f"was trained on {','.join(trained)}, and is evaluated on columns "
            "of these names, in any order."
        )
    return trained


def _check_data_options(config: command_configs.EvaluateConfig) -> None:
    """Raises `UsageError` for data options that do not fit the pictures."""
    data = resolve_evaluation_data(config)
    task = finished_run_files.load_config_task(config)
    unused_options.check_options(
        config,
        {
            "task": lambda: unused_options.choose_task(task, "of the run"),
            "data_format": lambda: unused_options.choose_format(
                data, load_evaluation_labels(config)
            ),
        },
    )


def check_classes(
    place: workdir_files.Workdir, class_names: Sequence[str]
) -> None:
    """Raises `DataError` if a class of the pictures is not one of the run.

    Args:
        place: Workdir of the run.
        class_names: Classes of the pictures to evaluate on.
    """
    known = place.class_names()
    unknown = sorted({*class_names} - {*known})
    if not unknown:
        return
    near = names.find_similar(unknown[0], known)
    hint = "Rename or leave out the classes that it does not know."
    if near:
        hint = "Did you mean {1} by {0}? Spell it the same way.".format(
            *names.quote_distinctly([unknown[0], near[0]])
        )
    more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    shown = ", ".join(known[:_LISTED])
    if len(known) > _LISTED:
        shown += f" and {len(known) - _LISTED} more"
    raise errors.DataError(
        f"The run in {place.path} does not know the class "
        f"{unknown[0]!r}{more}; it knows {shown}. {hint}"
    )
