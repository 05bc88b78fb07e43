"""The Python API: the same words as the flags, one call a task.

Nothing here imports TensorFlow before flags and files are known to be good:
that costs seconds, and a typo should be answered at once.
"""

import contextlib
import dataclasses
import os
import pathlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tf_finetune import (
    checking,
    environment,
    lifecycle,
    printing,
    use_checking,
    workdir,
)
from tf_finetune.config import cluster, options, train, use
from tf_finetune.data import arrays, changes, survey, unlabelled
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training.devices import batch_size

if TYPE_CHECKING:
    import keras

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        model: A plain Keras model, RGB 0..255 [batch, size, size, 3] →
            predictions, with the better weights.
        evaluation: By split ("train", "validation", "test"), every figure.
        history: A row for every epoch: stage, epoch, losses, metrics.
        class_names: In the order of the model's outputs.
        workdir: Where all of it lies.
    """

    model: "keras.Model"
    evaluation: dict[str, Any]
    history: list[dict[str, Any]]
    class_names: tuple[str, ...]
    workdir: pathlib.Path


def fine_tune(
    data: Any, *, report: Report = printing.show, **keywords: Any
) -> Run:
    """Fine-tunes a pretrained network on pictures.

    Args:
        data: A folder, CSV file or name as `--data` takes it; or NumPy arrays
            `(images, labels)`, or a `tf.data.Dataset` of such pairs, with
            images RGB or grey, 0..255.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.train`, by name.

    Raises:
        UsageError: An option is unknown or its value impossible.
        DataError: The pictures cannot be used.
        RunError: The run could not go on.
        GateError: The run is finished and missed the figure asked for.

    Example:
        run = fine_tune("flowers/", backbone="resnet50", epochs=5)
    """
    config = options.from_keywords(train.TrainConfig, keywords)
    if not isinstance(data, (str, os.PathLike)):
        data = arrays.materialize(data, cache_dir=config.output.cache_folder)
    return train_run(options.replace(config, data=str(data)), report=report)


def train_run(config: train.TrainConfig, *, report: Report) -> Run | None:
    """Does what `python -m tf_finetune.train` does.

    Args:
        config: Everything that was asked for.
        report: Called with each block of text that a person should read.

    Returns:
        The finished run; None if `config.output.plan` asks for the plan only,
        and of a worker that is not the chief.
    """
    start = time.monotonic()
    checking.check(config)
    config = checking.absolute(config)
    place = lifecycle.choose(config)
    lifecycle.check_free(place, config)
    if cluster.assists(config.training.strategy):
        environment.start_tensorflow()
        from tf_finetune.runs import assisting

        return assisting.assist(config)
    inspected = survey.list_and_inspect(
        config.data,
        tasks.TASKS.get(config.model.task).labels,
        cache_dir=config.output.cache_folder,
    )
    checking.check_listed(config, inspected)
    if config.output.plan:
        return _plan(config, inspected, place, report)
    with lifecycle.opened(place, config):
        return _train(config, inspected, place, report, start)


def evaluate(
    workdir: str | os.PathLike,
    data: str | os.PathLike | None = None,
    *,
    report: Report = printing.show,
    **keywords: Any,
) -> dict[str, Any]:
    """Evaluates a finished run, on its own splits or on other pictures.

    Args:
        workdir: The run's folder.
        data: Labelled pictures in any form that training takes, of classes
            that the run knows; None: the run's own.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.evaluate`, by name.

    Returns:
        Figures by split, as in `evaluation.json`.

    Raises:
        UsageError, DataError, RunError, GateError: As `fine_tune`.
    """
    given = {"workdir": str(workdir), "data": str(data or ""), **keywords}
    config = options.from_keywords(use.EvaluateConfig, given)
    return evaluate_run(config, report=report)


def evaluate_run(
    config: use.EvaluateConfig, *, report: Report
) -> dict[str, Any]:
    """Does what `python -m tf_finetune.evaluate` does."""
    use_checking.check_evaluation(config)
    source = use_checking.evaluation_source(config)
    inspected = survey.list_and_inspect(
        source,
        use_checking.evaluation_labels(config),
        cache_dir=pathlib.Path(config.cache_dir).expanduser(),
        training=not config.data,
    )
    environment.start_tensorflow()
    from tf_finetune.runs.use import evaluating, finished

    found = finished.load(config.workdir)
    return evaluating.evaluate(found, inspected, source, config, report=report)


def predict(
    workdir: str | os.PathLike,
    data: str | os.PathLike,
    *,
    report: Report = printing.show,
    **keywords: Any,
) -> list[Any]:
    """Predicts what a finished run learnt, of other pictures.

    Args:
        workdir: The run's folder.
        data: A picture, a folder (searched through) or a glob pattern.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.predict`, by name.

    Returns:
        One prediction a file, in the order of the paths; a file that is no
        usable picture has its `error` filled instead.
    """
    given = {"workdir": str(workdir), "data": str(data), **keywords}
    config = options.from_keywords(use.PredictConfig, given)
    return predict_run(config, report=report)


def predict_run(config: use.PredictConfig, *, report: Report) -> list[Any]:
    """Does what `python -m tf_finetune.predict` does."""
    use_checking.check_prediction(config)
    takes_rows = use_checking.takes_rows(config.workdir)
    paths = [] if takes_rows else unlabelled.find(config.data)
    environment.start_tensorflow()
    from tf_finetune.runs.rows import using
    from tf_finetune.runs.use import finished, predicting

    found = finished.load(config.workdir)
    if takes_rows:
        return using.predict(found, config, report=report)
    return predicting.predict(found, paths, config, report=report)


def export(
    workdir: str | os.PathLike,
    format: str | tuple[str, ...] = "saved_model",
    *,
    report: Report = printing.show,
    **keywords: Any,
) -> list[pathlib.Path]:
    """Exports a finished run and proves each export on held-out pictures.

    Args:
        workdir: The run's folder.
        format: "saved_model", "h5", "keras", "litert", "onnx" …, or several.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.export`, by name.

    Returns:
        What was written, in the order of the formats.

    Raises:
        RunError: An export gives other numbers than the evaluation gave; it
            has been removed.
    """
    given = {"workdir": str(workdir), "format": format, **keywords}
    config = options.from_keywords(use.ExportConfig, given)
    return export_run(config, report=report)


def export_run(
    config: use.ExportConfig, *, report: Report
) -> list[pathlib.Path]:
    """Does what `python -m tf_finetune.export` does."""
    use_checking.check_export(config)
    source = use_checking.export_source(config)
    inspected = source and survey.list_and_inspect(
        source.data,
        tasks.TASKS.get(source.model.task).labels,
        cache_dir=source.output.cache_folder,
    )
    environment.start_tensorflow()
    from tf_finetune.runs.rows import exports as rows_exports
    from tf_finetune.runs.use import exports, finished

    found = finished.load(config.workdir)
    if found.place.takes_rows:
        return rows_exports.export(found, config, report=report)
    return exports.export(found, config, inspected, report=report)


def _train(
    config: train.TrainConfig,
    inspected: survey.Inspected,
    place: workdir.Workdir,
    report: Report,
    start: float,
) -> Run:
    largest = batch_size.found(
        config,
        {} if config.output.overwrite else place.facts(),
        num_pictures=len(inspected.pictures),
        num_classes=len(inspected.class_names),
    )
    environment.start_tensorflow()
    from tf_finetune.runs import describing, preparing, results
    from tf_finetune.runs import unlabelled as unlabelled_runs

    with contextlib.ExitStack() as held:
        course = preparing.prepare(config, inspected, place, held, largest)
        plan = describing.text(course)
        report(plan)
        results.begin(course, plan)
        with changes.watched(course.data.pictures):
            result = unlabelled_runs.learn(course, held, report=report)
    with changes.watched(course.data.pictures):
        figures = results.evaluate(course, result)
    results.save(course, result)
    results.finish(course, result, time.monotonic() - start)
    report(course.task.figures.text(figures))
    report(f"Results saved to {place.path}")
    results.check_gates(course, figures)
    return Run(
        model=course.built.model,
        evaluation=figures,
        history=result.learnt.table,
        class_names=course.data.class_names,
        workdir=place.path,
    )


def _plan(
    config: train.TrainConfig,
    inspected: survey.Inspected,
    place: workdir.Workdir,
    report: Report,
) -> None:
    largest = batch_size.found(
        config,
        {} if config.output.overwrite else place.facts(),
        num_pictures=len(inspected.pictures),
        num_classes=len(inspected.class_names),
    )
    environment.start_tensorflow()
    from tf_finetune.data import statistics
    from tf_finetune.runs import costing, describing, preparing

    with contextlib.ExitStack() as held:
        course = preparing.prepare(config, inspected, place, held, largest)
        report(statistics.summary(course.data))
        report(describing.text(course))
        report(costing.estimated(course).text())
    report(f"workdir: {place.path} (nothing was written; --plan)")
