"""The Python API of training: the same words as the flags, one call.

Nothing here imports TensorFlow before flags and files are known to be good:
that costs seconds, and a typo should be answered at once.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from tf_finetune import (
    checking,
    environment,
    lifecycle,
    printing,
    run,
    train_paths,
    workdir,
)
from tf_finetune.config import cluster, options, train
from tf_finetune.data import arrays, changes, survey
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training.devices import batch_size

Report = Callable[[str], None]


def fine_tune(
    data: Any, *, report: Report = printing.show, **keywords: Any
) -> run.Run:
    """Fine-tunes a pretrained network on pictures.

    Args:
        data: A folder, CSV file or name as `--data` takes it; or NumPy arrays
            `(images, labels)`, or a `tf.data.Dataset` of such pairs, with
            images RGB or gray, 0..255.
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
        # Arrays become picture files in the cache directory (docs/plan.md, 7).
        data = arrays.materialize(data, cache_dir=config.output.cache_folder)
    return train_run(options.replace(config, data=str(data)), report=report)


def train_run(config: train.TrainConfig, *, report: Report) -> run.Run | None:
    """Runs `python -m tf_finetune.train`: trains, evaluates and saves.

    Args:
        config: Everything that was asked for.
        report: Called with each block of text that a person should read.

    Returns:
        The finished run; None if `config.output.plan` asks for the plan only,
        and of a worker that is not the chief.
    """
    start = time.monotonic()
    checking.check(config)
    # After the check, which knows words that look like paths.
    config = train_paths.absolute(config)
    place = lifecycle.choose(config)
    lifecycle.check_free(place, config)
    # Workers other than the chief train along; they write nothing.
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
    # After the checks that may refuse the data: an error stands alone.
    lifecycle.warn_if_inside_data(place, config)
    if config.output.plan:
        return _plan(config, inspected, place, report)
    # Another run may have begun there while the pictures were looked at.
    place = lifecycle.choose(config)
    with lifecycle.opened(place, config):
        return _train(config, inspected, place, report, start)


def _train(
    config: train.TrainConfig,
    inspected: survey.Inspected,
    place: workdir.Workdir,
    report: Report,
    start: float,
) -> run.Run:
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
        describing.warn_of_single_pictures(course)
        results.begin(course, plan)
        # Raises if a picture's file has changed while it was learned from.
        with changes.watched(course.data.pictures):
            result = unlabelled_runs.learn(course, held, report=report)
    with changes.watched(course.data.pictures):
        figures = results.evaluate(course, result)
    results.save(course, result)
    results.finish(course, result, time.monotonic() - start)
    report(course.task.figures.text(figures))
    report(f"Results saved to {place.path}")
    results.check_gates(course, figures)
    return run.Run(
        model=course.built.model,
        evaluation=figures,
        history=result.learnt.table,
        class_names=course.data.class_names,
        workdir=place.path,
        task=course.task,
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
        describing.warn_of_single_pictures(course)
        report(costing.estimated(course).text())
    report(f"workdir: {place.path} (nothing was written; --plan)")
