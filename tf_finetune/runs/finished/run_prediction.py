"""Predicts unlabeled pictures with a finished run."""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.config import command_configs
from tf_finetune.data import examples, unlabeled_files
from tf_finetune.data.images import image_warnings, verification
from tf_finetune.model import inference
from tf_finetune.runs.finished import finished_run


def predict_run(
    found: finished_run.FinishedRun,
    paths: Sequence[str],
    config: command_configs.PredictConfig,
    *,
    report: Callable[[str], None],
) -> list[Any]:
    """Predicts every usable picture; the others get their `error` filled.

    Args:
        found: The run to predict with.
        paths: The files.
        config: Output, number of classes listed, batch size.
        report: Called with each text for the user.

    Returns:
        One prediction a path, in their order.
    """
    pictures, problems = unlabeled_files.inspect_files(
        list(paths), max_pixels=config.max_pixels
    )
    # Headers first, which costs little; then whole pictures are decoded.
    problems |= find_undecodable(found, pictures)
    good = [path for path in paths if path not in problems]
    answers = found.task.answers
    folder = _choose_folder(found, config)
    predicted = (
        _write_files(found, good, config, folder)
        if folder
        else _predict_pictures(found, good, config)
    )
    rows = {row.path: row for row in predicted}
    # Every path has a row, also those that could not be predicted.
    table = [
        rows.get(path) or answers.build_error_row(path, problems[path])
        for path in paths
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


def _choose_folder(
    found: finished_run.FinishedRun, config: command_configs.PredictConfig
) -> pathlib.Path | None:
    """Returns the folder of predictions that are files.

    None where the task has none or nothing is written.

    Raises:
        UsageError: The output is a file.
    """
    if not found.task.files or not config.output:
        return None
    folder = pathlib.Path(config.output)
    # A name that ends in .csv is meant as a file, though it may not exist.
    if folder.is_file() or folder.suffix.lower() == ".csv":
        raise errors.UsageError(
            f"--output={config.output} must be a folder: "
            f"{found.task.files.contents} go into it, and "
            f"{found.task.files.table}."
        )
    return folder


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
    """Returns the reasons why pictures cannot be decoded, by path."""
    # Verdicts of pictures that are seen once are not worth keeping.
    with tempfile.TemporaryDirectory() as folder:
        return verification.find_unreadable(
            pictures,
            cache_dir=pathlib.Path(folder),
            image_size=found.image_size,
            resize=found.config.model.resize,
            pixels=found.config.model.pixels,
            report=functools.partial(
                image_warnings.warn_of_oddities,
                pixels=found.config.model.pixels,
                compare=False,
            ),
        )


def _predict_pictures(
    found: finished_run.FinishedRun,
    paths: Sequence[str],
    config: command_configs.PredictConfig,
) -> Iterator[Any]:
    if not paths:
        return
    start = 0
    for batch in found.predict(paths, batch_size=config.batch_size):
        named = paths[start : start + len(batch)]
        start += len(batch)
        yield from found.task.answers.build_rows(
            named, batch, found.class_names, top_k=config.top_k
        )
