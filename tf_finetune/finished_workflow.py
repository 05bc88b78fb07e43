"""The Python API of a finished run: the same words as the flags.

Nothing here imports TensorFlow before flags and files are known to be good:
that costs seconds, and a typo should be answered at once.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar

from tf_finetune import console_output, environment, errors
from tf_finetune.config import command_configs, options
from tf_finetune.data import scan
from tf_finetune.preflight import evaluate as evaluate_preflight
from tf_finetune.preflight import export as export_preflight
from tf_finetune.preflight import predict as predict_preflight
from tf_finetune.workdir import workdir_files as workdirs

Report = Callable[[str], None]

_Config = TypeVar("_Config")


def evaluate(
    workdir: str | os.PathLike,
    data: Any = None,
    *,
    report: Report = console_output.show,
    **keywords: Any,
) -> dict[str, Any]:
    """Evaluates a finished run, on its own splits or on other pictures.

    Writes the metrics to `output`, by default evaluation.DATA.json in the
    workdir (evaluation.again.json for the run's own splits); with `data`,
    charts and predictions go into a folder beside it.

    Args:
        workdir: The run's folder.
        data: Labeled pictures in any form that training takes, arrays too, of
            classes that the run knows; None: the splits that the run was
            trained with.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.evaluate`, by name.

    Returns:
        Metrics by split ("train", "validation", "test"), each with its
        `baselines`, and `data_fingerprint`; the keys of `evaluation.json`.

    Raises:
        UsageError: An option is wrong, or no finished run lies there.
        DataError: The pictures cannot be used, or the run's own pictures
            have changed.
        RunError: Files of the run cannot be read.
        GateError: A metric is worse than `fail_below` allows.
    """
    given = {"workdir": workdir, **keywords}
    config = options.from_keywords(command_configs.EvaluateConfig, given)
    if data is not None:
        cache_dir = pathlib.Path(config.cache_dir).expanduser()
        named = scan.name_data(data, cache_dir=cache_dir)
        config = options.replace(config, data=named)
    return evaluate_run(config, report=report)


def evaluate_run(
    config: command_configs.EvaluateConfig, *, report: Report
) -> dict[str, Any]:
    """Evaluates a finished run, as `evaluate` does with the same options.

    Args:
        config: All options of the command.
        report: Called with each block of text for the user.

    Returns:
        Metrics by split; see `evaluate`, also for the errors.
    """
    config = _expand_output(config)
    evaluate_preflight.check_evaluation(config)
    source = evaluate_preflight.resolve_evaluation_data(config)
    inspected = scan.list_and_inspect(
        source,
        evaluate_preflight.load_evaluation_labels(config),
        cache_dir=pathlib.Path(config.cache_dir).expanduser(),
        training=not config.data,
    )
    # Before TensorFlow starts: unknown classes are a mistake of the data.
    if config.data:
        path = pathlib.Path(config.workdir).expanduser()
        evaluate_preflight.check_classes(
            workdirs.Workdir(path), inspected.class_names
        )
    environment.start_tensorflow()
    from tf_finetune.runs.finished import finished_run, run_evaluation

    found = finished_run.load_finished(config.workdir, config.allow_parts)
    return run_evaluation.evaluate_run(
        found, inspected, source, config, report=report
    )


def predict(
    workdir: str | os.PathLike,
    data: str | os.PathLike,
    *,
    report: Report = console_output.show,
    **keywords: Any,
) -> list[Any]:
    """Predicts other pictures with a finished run.

    Args:
        workdir: The run's folder.
        data: A picture, a folder (searched through), a glob pattern, or a CSV
            file that names pictures.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.predict`, by name.

    Returns:
        One prediction per file, in the order of the paths: a dataclass with
        `path`, `error` (empty, or why the file cannot be used) and fields of
        the task, such as `class_name`, `probability` and `top_k`; they are
        the columns of predictions.csv in docs/run_folder.md.

    Raises:
        UsageError: An option is wrong, or no finished run lies there.
        DataError: There are no pictures.
        RunError: Files of the run cannot be read.
    """
    if not isinstance(data, str | os.PathLike):
        raise errors.UsageError(
            "data must be the path of a picture, a folder or a table, or a "
            f"pattern, got {type(data).__name__}. For arrays call "
            "load_run(workdir).model, which takes RGB 0..255 [batch, size, "
            "size, 3]."
        )
    given = {"workdir": workdir, "data": data, **keywords}
    config = options.from_keywords(command_configs.PredictConfig, given)
    return predict_run(config, report=report)


def predict_run(
    config: command_configs.PredictConfig, *, report: Report
) -> list[Any]:
    """Predicts pictures with a finished run, as `predict` does.

    Args:
        config: All options of the command.
        report: Called with each block of text for the user.

    Returns:
        One prediction per file; see `predict`, also for the errors.
    """
    # Files are listed before TensorFlow starts: a wrong path is told at once.
    config = _expand_output(config)
    predict_preflight.check_prediction(config)
    examples = predict_preflight.list_examples(config)
    # Imports that load TensorFlow come after its quiet start.
    environment.start_tensorflow()
    from tf_finetune.runs.finished import finished_run, run_prediction

    found = finished_run.load_finished(config.workdir, config.allow_parts)
    return run_prediction.predict_run(found, examples, config, report=report)


def export(
    workdir: str | os.PathLike,
    format: str | tuple[str, ...] = "saved_model",
    *,
    report: Report = console_output.show,
    **keywords: Any,
) -> list[pathlib.Path]:
    """Exports a finished run and checks each export on held-out pictures.

    Args:
        workdir: The run's folder.
        format: "saved_model", "h5", "keras", "litert", "onnx" …, or several.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.export`, by name.

    Returns:
        Paths of the exports written, in the order of the formats.

    Raises:
        UsageError: An option is wrong, or no finished run lies there.
        RunError: An export gives other numbers than the evaluation gave and
            was removed (all formats are tried first), or files of the run
            cannot be read.
    """
    given = {"workdir": workdir, "format": format, **keywords}
    config = options.from_keywords(command_configs.ExportConfig, given)
    return export_run(config, report=report)


def export_run(
    config: command_configs.ExportConfig, *, report: Report
) -> list[pathlib.Path]:
    """Exports a finished run in every format asked for, as `export` does.

    Args:
        config: All options of the command.
        report: Called with each block of text for the user.

    Returns:
        Paths of the exports written; see `export`, also for the errors.
    """
    config = _expand_output(config)
    export_preflight.check_export(config)
    source = export_preflight.resolve_export_config(config)
    inspected = source and scan.list_and_inspect(
        source.data,
        evaluate_preflight.load_own_labels(config),
        # Never the one that run.flags names: a stranger may have written it.
        cache_dir=pathlib.Path(config.cache_dir).expanduser(),
    )
    environment.start_tensorflow()
    from tf_finetune.runs.finished import finished_run, run_export

    found = finished_run.load_finished(config.workdir, config.allow_parts)
    return run_export.export_run(found, config, inspected, report=report)


def _expand_output(config: _Config) -> _Config:
    """Returns the config with "~" expanded in its `output`."""
    # A shell leaves it as it is behind "--output=".
    if not config.output:
        return config
    return options.replace(config, output=os.path.expanduser(config.output))
