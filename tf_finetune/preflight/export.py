"""Checks of export that need no TensorFlow."""

import pathlib

from tf_finetune import errors
from tf_finetune.config import command_configs, options, train_config
from tf_finetune.exports import catalog, export_flags, torchvision_networks
from tf_finetune.preflight import finished_run_files, unused_options
from tf_finetune.weights.torch import weights_configs
from tf_finetune.workdir import lifecycle, workdir_files

_WITHOUT_CERTAINTY = dict.fromkeys(
    ("calibrate", "out_of_distribution"),
    "it does not tell how sure its predictions are. Export without it.",
)


def check_export(config: command_configs.ExportConfig) -> None:
    """Checks that a finished run can be exported with these options.

    Raises:
        UsageError: An option or format is wrong, a package is not installed,
            no finished run lies there, or the output cannot be written.
        RunError: A model file of the run is not safe to open.
    """
    place = finished_run_files.locate_workdir(config.workdir)
    place.require_finished()
    _check_record(place, config)
    unused_options.check_options(config, {})
    for name in config.format:
        export_flags.check_name(name)
        if place.takes_rows:
            export_flags.check_rows(name)
        export_flags.check_packages(name)
    finished_run_files.check_writable(
        config.output or place.export,
        config.output,
        None if config.output else "folder",
    )
    export_flags.check_output(config.output, config.format)
    if "torch" in config.format:
        _check_torch(config, pathlib.Path(config.output or place.export))
    export_flags.check_no_overwrite(
        config.output, config.format, lifecycle.list_files(place)
    )
    losses = finished_run_files.load_config_task(config).exports.losses
    export_flags.check_tolerance(config.tolerance, config.format, losses)
    _check_root(config.image_root)
    _check_supported(config)
    if config.calibrate:
        _check_validation(place)
    finished_run_files.check_models(config)


def resolve_export_config(
    config: command_configs.ExportConfig,
) -> train_config.TrainConfig | None:
    """Returns the run's config if `--calibrate` needs its pictures, else None.

    With `--image_root`, its data are looked for in that folder, if they are no
    longer where they were.
    """
    if not config.calibrate:
        return None
    source = finished_run_files.load_train_config(config)
    data = pathlib.Path(source.data.data)
    if config.image_root is None or data.exists():
        return source
    # A folder that was moved, or a table that was moved with its pictures.
    root = pathlib.Path(config.image_root).expanduser()
    table = root / data.name
    now = table if data.suffix and table.is_file() else root
    return options.replace(source, data=str(now))


def _check_record(
    place: workdir_files.Workdir, config: command_configs.ExportConfig
) -> None:
    """Raises `UsageError` if a run was made without pictures to check on."""
    trained = finished_run_files.load_train_config(config)
    if trained.model.keep_classifier and not trained.data.data:
        raise errors.UsageError(
            f"The run in --workdir={place.path} was made without pictures, on "
            "which an export is checked. Make it again with --data=PICTURES, "
            "which need no labels, and --overwrite."
        )


def _check_torch(
    config: command_configs.ExportConfig, output: pathlib.Path
) -> None:
    """Raises `UsageError` for a network that torchvision does not have.

    Also where the config.json of other weights would be overwritten.
    """
    options = finished_run_files.load_train_config(config).model
    head = finished_run_files.load_config_task(config).head(options.head)
    torchvision_networks.find_network(options, head)
    path = export_flags.resolve_file(
        output, stem="model", suffix=catalog.SUFFIXES["torch"]
    )
    if not weights_configs.is_free(path):
        raise errors.UsageError(
            f"--format=torch would overwrite "
            f"{path.with_name(weights_configs.NAME)}, which is not about "
            f"{path.name}. Name another folder with --output."
        )


def _check_root(root: str | None) -> None:
    if root is not None and not pathlib.Path(root).expanduser().is_dir():
        raise errors.UsageError(
            f"--image_root={root} is not a folder; give the folder that holds "
            "the run's pictures now."
        )


def _check_supported(config: command_configs.ExportConfig) -> None:
    """Raises `UsageError` for an option that the task does not support."""
    task = finished_run_files.load_config_task(config)
    reasons = {} if task.certainty_at else _WITHOUT_CERTAINTY
    for name, reason in {**reasons, **task.refused_options}.items():
        if getattr(config, name):
            raise errors.UsageError(
                f"--{name} is not for --task={task.name}: {reason}"
            )


def _check_validation(place: workdir_files.Workdir) -> None:
    if not place.counts().get("validation"):
        raise errors.UsageError(
            "--calibrate needs validation pictures, and the run in "
            f"{place.path} has none: {place.data_json.name} names none. Export "
            "without it, or train again with --validation_fraction above 0."
        )
