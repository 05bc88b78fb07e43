"""Evaluates a finished run, once more or on other pictures."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import logging

from tf_finetune import errors, files
from tf_finetune.config import command_configs, data_options
from tf_finetune.data import data_statistics, examples, scan, unlabeled_files
from tf_finetune.data.images import image_warnings, verification
from tf_finetune.evaluation import evaluate_split, gates
from tf_finetune.runs.finished import finished_run
from tf_finetune.tasks import task as task_contract

if TYPE_CHECKING:
    from tf_finetune.inputs import input_rows


def evaluate_run(
    found: finished_run.FinishedRun,
    inspected: scan.InspectedPictures,
    source: data_options.DataOptions,
    config: command_configs.EvaluateConfig,
    *,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Evaluates a finished run on every split of the data and writes metrics.

    With `--data`, charts and predictions.csv are written too.

    Args:
        found: The run.
        inspected: Its own pictures, listed again, or other ones.
        source: Data options that they were listed with.
        config: `data` (None: the run's own), output file, batch size, gates.
        report: Called with each text for the user.

    Returns:
        The content of the JSON file written: "data_fingerprint",
        "rows_left_out" of a table, and by split name metrics with their
        "baselines".

    Raises:
        DataError: The run's own pictures have changed since training, or none
            of the other ones can be used.
        RunError: The model predicts NaN or infinite values.
        GateError: A metric misses `--fail_below`; the file is written.
    """
    data = _decode_and_divide(found, inspected, source, config)
    report(data_statistics.format_summary(data))
    joined, left_out = {}, {}
    if found.inputs:
        rows = join_rows(data, source)
        data, joined = rows.data, rows.joined
        left_out = {"rows_left_out": rows.left_out}
    output = pathlib.Path(config.output or _choose_output(found, config))
    beside = _choose_chart_folder(output)
    # Within the workdir a link must not lead the files elsewhere.
    if not config.output:
        found.place.require_inside(beside)
    figures = _compute_figures(found, data, joined, config, beside)
    figures = {**figures, **left_out}
    files.write_json(output, figures)
    report(found.task.figures.text(figures))
    report(f"Figures saved to {output}")
    if config.data:
        report(f"Charts and predictions saved to {beside}")
    _check_gates(figures, data, config, found.task)
    return figures


def _decode_and_divide(
    found: finished_run.FinishedRun,
    inspected: scan.InspectedPictures,
    source: data_options.DataOptions,
    config: command_configs.EvaluateConfig,
) -> examples.ImageData:
    """Returns the pictures that can be decoded, divided into splits."""
    model = found.config.model
    problems = verification.decode_pictures(
        inspected.pictures,
        cache_dir=pathlib.Path(config.cache_dir).expanduser(),
        square=found.square,
        report=functools.partial(
            image_warnings.warn_of_oddities, pixels=model.pixels
        ),
    )
    if config.data:
        data = _divide_other_data(found, inspected, problems)
    else:
        data = divide_own_data(found, inspected, problems, source)
    # Pictures are to be decoded as they were in training.
    return dataclasses.replace(data, resize=model.resize, pixels=model.pixels)


def divide_own_data(
    found: finished_run.FinishedRun,
    inspected: scan.InspectedPictures,
    problems: Mapping[str, str],
    source: data_options.DataOptions,
) -> examples.ImageData:
    """Divides a run's own pictures into the same splits as in training.

    Args:
        found: The run.
        inspected: Its pictures, listed again.
        problems: By path, the reason why a picture cannot be used.
        source: Data options that they were listed with.

    Raises:
        DataError: Pictures, labels or splits differ from those of training.
    """
    # The run's seed draws the same splits from the same pictures.
    seed = found.config.seed
    data = scan.clean_and_split(inspected, problems, source, seed=seed)
    trained = found.place.facts().get("data_fingerprint"), found.class_names
    if (data.fingerprint, data.class_names) != trained:
        raise errors.DataError(
            f"Pictures or classes of --data={source.data} are no longer those "
            f"that the run in {found.place.path} was trained on. `python -m "
            "tf_finetune.evaluate --data=…` evaluates on the current ones."
        )
    return data


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowExamples:
    """Rows of a table as the examples of a run.

    Attributes:
        data: Data in which each row is one example.
        joined: By split name, the rows with their pictures.
        left_out: By place in the table ("line 7"), why a row is not used.
    """

    data: examples.ImageData
    joined: "Mapping[str, input_rows.JoinedRows]"
    left_out: Mapping[str, str]


def join_rows(
    data: examples.ImageData, source: data_options.DataOptions
) -> RowExamples:
    """Joins the rows of a table with their pictures, by the paths in a row.

    A row that lacks a value or a usable picture is left out, with a warning.

    Args:
        data: The usable pictures, in splits.
        source: Data options that name the table.
    """
    from tf_finetune.inputs import input_rows

    joined, left_out = input_rows.join_pictures(
        input_rows.read_table(source), data
    )
    for where, reason in left_out.items():
        logging.warning("%s is left out of the evaluation: %s", where, reason)
    return RowExamples(
        data=input_rows.make_row_data(data, joined),
        joined=joined,
        left_out=left_out,
    )


def list_examples(
    data: examples.ImageData,
    joined: "Mapping[str, input_rows.JoinedRows]",
    split: str,
) -> "Sequence[str] | Sequence[input_rows.Row]":
    """Lists the examples of a split in the form `FinishedRun.predict` takes.

    Args:
        data: The pictures, or the `data` of `join_rows`.
        joined: The `joined` of `join_rows`; empty for single pictures.
        split: "train", "validation" or "test".

    Returns:
        Paths of picture files; rows where `joined` has any.
    """
    if joined:
        return joined[split].rows
    return [picture.path for picture in data.split(split)]


def _divide_other_data(
    found: finished_run.FinishedRun,
    inspected: scan.InspectedPictures,
    problems: Mapping[str, str],
) -> examples.ImageData:
    """Returns other pictures in the run's class order, unsplit ones as test."""
    # Their own splits are kept; pictures without one are all for testing.
    usable = [p for p in inspected.pictures if p.path not in problems]
    dropped = [
        examples.DroppedFile(path=path, reason=reason)
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
        fingerprint=data_statistics.compute_fingerprint(
            found.class_names, pictures, inspected.labels
        ),
    )


def _compute_figures(
    found: finished_run.FinishedRun,
    data: examples.ImageData,
    joined: "Mapping[str, input_rows.JoinedRows]",
    config: command_configs.EvaluateConfig,
    beside: pathlib.Path,
) -> dict[str, Any]:
    """Computes metrics; of other data, writes predictions and charts."""
    task, rows, truths = found.task, [], []
    # Baselines rest on the training data, as data.json describes it.
    described = found.place.load_description(task.build_data_schema)
    figures: dict[str, Any] = {"data_fingerprint": data.fingerprint}
    for split in data.splits:
        judged = _evaluate_split(
            found, data, split, list_examples(data, joined, split), config
        )
        figures[split] = {
            **judged.figures,
            "baselines": task.figures.compute_baselines(described, data, split),
        }
        # Charts of the run's own splits are in the workdir since training.
        if config.data:
            judged.draw(beside)
            task.figures.draw(figures[split], data.class_names, beside, split)
            rows += judged.rows
            truths += [picture.label for picture in data.split(split)]
    if config.data:
        task.answers.write(beside / "predictions.csv", rows, truths)
    return figures


def _evaluate_split(
    found: finished_run.FinishedRun,
    data: examples.ImageData,
    split: str,
    asked: "Sequence[str] | Sequence[input_rows.Row]",
    config: command_configs.EvaluateConfig,
) -> evaluate_split.SplitEvaluation:
    judged = evaluate_split.evaluate_predictions(
        found.task,
        data,
        split,
        found.predict(asked, batch_size=config.batch_size),
        seed=found.config.seed,
        decision=found.task.decision,
        with_rows=bool(config.data),
    )
    if judged.figures is None:
        raise errors.RunError(
            f"The run in {found.place.path} predicts values that are NaN or "
            "infinite; train it again with a lower --learning_rate."
        )
    return judged


def _choose_output(
    found: finished_run.FinishedRun, config: command_configs.EvaluateConfig
) -> pathlib.Path:
    name = unlabeled_files.derive_name(config.data) if config.data else "again"
    return found.place.path / f"evaluation.{name}.json"


def _choose_chart_folder(output: pathlib.Path) -> pathlib.Path:
    """Returns the folder of charts and predictions beside a file of figures."""
    if output.suffix:
        return output.with_suffix("")
    return output.with_name(f"{output.name}-files")


def _check_gates(
    figures: Mapping[str, Any],
    data: examples.ImageData,
    config: command_configs.EvaluateConfig,
    task: task_contract.Task,
) -> None:
    # Gates hold on test, or on the last split where there is no test.
    split = "test" if "test" in data.splits else data.splits[-1]
    failed = gates.find_failures(
        figures[split], config.fail_below, task.figures
    )
    if failed:
        raise errors.GateError(" ".join(failed))
