"""Evaluates a finished run, once more or on other pictures."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from tf_finetune import errors, files
from tf_finetune.config import data_options, use
from tf_finetune.data import (
    examples,
    statistics,
    survey,
    unlabelled,
)
from tf_finetune.data.pictures import oddities, verification
from tf_finetune.evaluation import gates
from tf_finetune.runs.rows import using
from tf_finetune.runs.use import finished
from tf_finetune.tasks import judging
from tf_finetune.tasks import task as task_contract


def evaluate(
    found: finished.Finished,
    inspected: survey.Inspected,
    source: data_options.DataOptions,
    config: use.EvaluateConfig,
    *,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Evaluates on every split of the data, prints and writes the figures.

    Args:
        found: The run.
        inspected: Its own data again, or other pictures.
        source: How they were read.
        config: Output, batch size, gates.
        report: Called with each text for the user.

    Raises:
        DataError: The run's own pictures are no longer those it was trained
            on.
        GateError: `--fail_below` is missed.
    """
    problems = verification.problems(
        inspected.pictures,
        cache_dir=pathlib.Path(config.cache_dir).expanduser(),
        image_size=found.image_size,
        resize=found.config.model.resize,
        pixels=found.config.model.pixels,
        report=functools.partial(
            oddities.warn, pixels=found.config.model.pixels
        ),
    )
    if config.data:
        data = _foreign(found, inspected, problems)
    else:
        data = own(found, inspected, problems, source)
    # Pictures are to be decoded as they were in training.
    data = dataclasses.replace(
        data,
        resize=found.config.model.resize,
        pixels=found.config.model.pixels,
    )
    report(statistics.summary(data))
    output = pathlib.Path(config.output or _output(found, config))
    # Within the workdir a link must not lead the files elsewhere.
    if not config.output:
        found.place.own(_beside(output))
    if found.place.takes_rows:
        figures = using.figures(
            found, data, source, batch_size=config.batch_size
        )
    else:
        figures = _figures(found, data, config, _beside(output))
    files.write_json(output, figures)
    task = found.task
    # Charts of the run's own splits are in the workdir since training.
    if beside := config.data and _beside(output):
        for split in data.splits:
            task.figures.draw(figures[split], data.class_names, beside, split)
    report(task.figures.text(figures))
    report(f"Figures saved to {output}")
    if beside:
        report(f"Charts and predictions saved to {beside}")
    _check_gates(figures, data, config, task)
    return figures


def own(
    found: finished.Finished,
    inspected: survey.Inspected,
    problems: Mapping[str, str],
    source: data_options.DataOptions,
) -> examples.ImageData:
    """Returns a run's own pictures, divided as they were.

    Args:
        found: The run.
        inspected: Its pictures, listed again.
        problems: Reason by path of each that cannot be used.
        source: How they were read.

    Raises:
        DataError: They have changed since.
    """
    # The run's seed draws the same splits from the same pictures.
    seed = found.config.seed
    data = survey.complete(inspected, problems, source, seed=seed)
    if data.fingerprint != found.place.facts().get("data_fingerprint"):
        raise errors.DataError(
            f"The pictures of --data={source.data} are no longer those that "
            f"the run in {found.place.path} was trained on. `python -m "
            "tf_finetune.evaluate --data=…` evaluates on the current ones."
        )
    return data


def _foreign(
    found: finished.Finished,
    inspected: survey.Inspected,
    problems: Mapping[str, str],
) -> examples.ImageData:
    """Returns other pictures in the run's class order, unsplit ones as test."""
    # Their own splits are kept; pictures without one are all for testing.
    usable = [p for p in inspected.pictures if p.path not in problems]
    dropped = [
        examples.Dropped(path=path, reason=reason)
        for path, reason in problems.items()
    ]
    pictures = tuple(
        dataclasses.replace(each, split=each.split or "test") for each in usable
    )
    if not pictures:
        raise errors.DataError("None of the pictures of --data can be used.")
    return examples.ImageData(
        class_names=found.class_names,
        pictures=pictures,
        dropped=(*inspected.dropped, *dropped),
        fingerprint=statistics.fingerprint(
            found.class_names, pictures, inspected.labels
        ),
    )


def _figures(
    found: finished.Finished,
    data: examples.ImageData,
    config: use.EvaluateConfig,
    beside: pathlib.Path,
) -> dict[str, Any]:
    """Returns the figures; of other data, writes predictions to `beside`."""
    task, rows, truths = found.task, [], []
    # Baselines rest on the training data, as data.json describes it.
    described = found.place.described(task.described)
    figures: dict[str, Any] = {"data_fingerprint": data.fingerprint}
    for split in data.splits:
        predicted = found.predict(
            [picture.path for picture in data.split(split)],
            batch_size=config.batch_size,
        )
        judged = judging.judge(
            task,
            data,
            split,
            predicted,
            seed=found.config.seed,
            decision=task.decision,
            with_rows=bool(config.data),
        )
        if judged.figures is None:
            raise errors.RunError(
                f"The run in {found.place.path} predicts values that are NaN "
                "or infinite; train it again with a lower --learning_rate."
            )
        figures[split] = {
            **judged.figures,
            "yardsticks": task.figures.trivial(described, data, split),
        }
        if config.data:
            judged.draw(beside)
            rows += judged.rows
            truths += [picture.label for picture in data.split(split)]
    if config.data:
        task.answers.write(beside / "predictions.csv", rows, truths)
    return figures


def _output(
    found: finished.Finished, config: use.EvaluateConfig
) -> pathlib.Path:
    name = unlabelled.name_of(config.data) if config.data else "again"
    return found.place.path / f"evaluation.{name}.json"


def _beside(output: pathlib.Path) -> pathlib.Path:
    """Returns the folder of charts and predictions beside a file of figures."""
    if output.suffix:
        return output.with_suffix("")
    return output.with_name(f"{output.name}-files")


def _check_gates(
    figures: Mapping[str, Any],
    data: examples.ImageData,
    config: use.EvaluateConfig,
    task: task_contract.Task,
) -> None:
    # Gates hold on test, or on the last split where there is no test.
    split = "test" if "test" in data.splits else data.splits[-1]
    failed = gates.failures(figures[split], config.fail_below, task.figures)
    if failed:
        raise errors.GateError(" ".join(failed))
