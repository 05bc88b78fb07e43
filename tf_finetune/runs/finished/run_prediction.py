"""Predicts unlabeled pictures with a finished run."""

import functools
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tf_finetune.config import command_configs
from tf_finetune.data import examples, unlabeled_files
from tf_finetune.data.images import image_warnings, verification
from tf_finetune.model import inference
from tf_finetune.runs.finished import finished_run

if TYPE_CHECKING:
    from tf_finetune.inputs import input_rows


def predict_run(
    found: finished_run.FinishedRun,
    examples: "Sequence[str] | Sequence[input_rows.Row]",
    config: command_configs.PredictConfig,
    *,
    report: Callable[[str], None],
) -> list[Any]:
    """Predicts examples with a finished run and writes or reports the answers.

    With `--output` the answers go into a table (and, where a prediction is a
    picture, files beside it); without, each is reported as a line of text.

    Args:
        found: The run to predict with.
        examples: Paths of picture files; for a run on rows of a table, rows.
        config: Output, number of classes listed, batch size.
        report: Called with each text for the user.

    Returns:
        One answer of the task's row type per example, in order; an example that
        cannot be used has its reason in `error` and no prediction. The answer
        of a table's row is named after its first picture.
    """
    faults = _find_faults(found, examples, config)
    good = [e for e, fault in zip(examples, faults, strict=True) if not fault]
    answers = found.task.answers
    # Predictions that are files go into a folder, with their table.
    has_folder = found.task.files and config.output
    folder = pathlib.Path(config.output) if has_folder else None
    predicted = iter(
        _write_files(found, good, config, folder)
        if folder
        else _predict_examples(found, good, config)
    )
    # Every example has a row, also those that could not be predicted.
    table = [
        answers.build_error_row(_list_paths(each)[0], fault)
        if fault
        else next(predicted)
        for each, fault in zip(examples, faults, strict=True)
    ]
    if config.output:
        output = pathlib.Path(config.output)
        place = folder / found.task.files.table if folder else output
        answers.write(place, table)
        report(answers.summarize(table))
        report(f"Predictions saved to {config.output}")
    else:
        report("\n".join(answers.format_row(row) for row in table))
    return table


def _find_faults(
    found: finished_run.FinishedRun,
    examples: "Sequence[str] | Sequence[input_rows.Row]",
    config: command_configs.PredictConfig,
) -> list[str]:
    """Returns for each example why it cannot be used; empty: it can."""
    # One picture may belong to several rows; each is decoded once.
    paths = list(dict.fromkeys(p for e in examples for p in _list_paths(e)))
    problems = {p: "file not found" for p in paths if not os.path.exists(p)}
    pictures, damaged = unlabeled_files.inspect_files(
        [path for path in paths if path not in problems],
        max_pixels=config.max_pixels,
    )
    # Headers first, which costs little; then whole pictures are decoded.
    problems |= damaged | find_undecodable(found, pictures)
    if not found.inputs:
        return [problems.get(path, "") for path in examples]
    bad = ([p for p in row.paths if p in problems] for row in examples)
    return [each and f"{each[0]}: {problems[each[0]]}" or "" for each in bad]


def _list_paths(example: "str | input_rows.Row") -> tuple[str, ...]:
    return (example,) if isinstance(example, str) else example.paths


def _write_files(
    found: finished_run.FinishedRun,
    paths: Sequence[str],
    config: command_configs.PredictConfig,
    folder: pathlib.Path,
) -> Iterator[Any]:
    """Writes the files of each picture to the folder; yields its row."""
    into = found.task.files(
        paths,
        found.class_names,
        folder=folder,
        resize=found.config.model.resize,
        pixels=found.config.model.pixels,
        top_k=config.top_k,
    )
    if config.window_overlap is not None:
        # Compiled once, for all windows of all pictures.
        step = inference.compile_step(found.model)
        yield from into.write_windows(
            lambda images: np.asarray(step(tf.constant(images))),
            size=found.image_size,
            overlap=config.window_overlap,
        )
    elif paths:
        yield from into.write_squares(
            found.predict(paths, batch_size=config.batch_size)
        )


def find_undecodable(
    found: finished_run.FinishedRun, pictures: Sequence[examples.Picture]
) -> dict[str, str]:
    """Decodes pictures and returns those that cannot be, with the reason.

    Args:
        found: The run, whose preprocessing is used.
        pictures: Pictures whose headers are fine.

    Returns:
        Reason by path; empty if all can be decoded.
    """
    # Verdicts of pictures that are seen once are not worth keeping.
    with tempfile.TemporaryDirectory() as folder:
        return verification.decode_pictures(
            pictures,
            cache_dir=pathlib.Path(folder),
            square=found.square,
            report=functools.partial(
                image_warnings.warn_of_oddities,
                pixels=found.config.model.pixels,
                compare=False,
            ),
        )


def _predict_examples(
    found: finished_run.FinishedRun,
    examples: "Sequence[str] | Sequence[input_rows.Row]",
    config: command_configs.PredictConfig,
) -> Iterator[Any]:
    if not examples:
        return
    start, paths = 0, [_list_paths(each)[0] for each in examples]
    for batch in found.predict(examples, batch_size=config.batch_size):
        named = paths[start : start + len(batch)]
        start += len(batch)
        yield from found.task.answers.build_rows(
            named, batch, found.class_names, top_k=config.top_k
        )
