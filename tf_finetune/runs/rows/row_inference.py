"""Evaluates and predicts rows of a table with a finished run."""

import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import keras

from tf_finetune import errors
from tf_finetune.config import command_configs, data_options, options
from tf_finetune.data import examples, unlabeled_files
from tf_finetune.runs.finished import finished_run, model_file, run_prediction
from tf_finetune.runs.rows import fused_inputs
from tf_finetune.tasks.regression.rows import (
    fused_model,
    row_pictures,
    row_table,
)

Report = Callable[[str], None]


def load_fused_model(found: finished_run.FinishedRun) -> keras.Model:
    """Reads the fused model of rows; runs no code from it.

    Raises:
        RunError: It cannot be read, or does not take such rows.
    """
    place, source = found.place, found.config.data
    model = model_file.load_model(place.fused_model, within=place.path)
    words = source.categorical_columns
    wanted = {
        fused_model.IMAGES: (len(source.image_column), found.image_size),
        **({fused_model.NUMBERS: (len(source.numeric_columns),)}
           if source.numeric_columns else {}),
        **({fused_model.WORDS: (len(words),)} if words else {}),
    }  # fmt: skip
    # Pictures: count and side; numbers and words: count of columns.
    taken = {each.name: tuple(each.shape[1:3]) for each in model.inputs}
    given = [each.shape[1:] for each in model.outputs]
    if taken != wanted or given != [(len(found.class_names),)]:
        raise errors.RunError(
            f"{place.fused_model} does not take rows of the columns in "
            f"{place.run_flags.name}. The files of the folder do not belong "
            "together: copy it again, or train again."
        )
    return model


def evaluate_rows(
    found: finished_run.FinishedRun,
    data: examples.ImageData,
    source: data_options.DataOptions,
    *,
    batch_size: int,
) -> dict[str, Any]:
    """Returns the figures of the rows of each split, with baselines.

    Args:
        found: The run.
        data: Its own pictures, or others.
        source: Their table.
        batch_size: Rows per step.
    """
    model, measures = load_fused_model(found), found.task.figures
    described = found.place.load_description(found.task.build_data_schema)
    joined, left_out = row_pictures.join_pictures(
        row_table.read_table(source), data
    )
    result: dict[str, Any] = {
        "data_fingerprint": data.fingerprint,
        "rows_left_out": left_out,
    }
    for split, its in joined.items():
        said = fused_inputs.predict_rows(
            model,
            its.rows,
            resize=found.config.model.resize,
            pixels=found.config.model.pixels,
            batch_size=batch_size,
        )
        result[split] = {
            **measures.compute_figures(
                its.targets, said, data.class_names, seed=found.config.seed
            ),
            "yardsticks": measures.compute_constant_baselines(
                described, its.targets, data.class_names
            ),
        }
    return result


def predict_table(
    found: finished_run.FinishedRun,
    config: command_configs.PredictConfig,
    *,
    report: Report,
) -> list[Any]:
    """Predicts every row of a table; the others get their `error` filled.

    Args:
        found: The run.
        config: `data` is a table with the columns that the run was trained on.
        report: Called with each text for the user.

    Returns:
        One prediction a row, named after the row's first picture.

    Raises:
        DataError: `data` is not such a table.
    """
    trained = found.config.data
    source = options.replace(
        trained,
        data=config.data,
        image_column=config.image_column or trained.image_column,
        image_root=config.image_root,
    )
    rows = row_table.read_table(source, with_targets=False)
    problems = _find_problems(found, rows, config)
    faults = [_find_fault(row, problems) for row in rows]
    good = [row for row, fault in zip(rows, faults, strict=True) if not fault]
    said = fused_inputs.predict_rows(
        load_fused_model(found),
        good,
        resize=found.config.model.resize,
        pixels=found.config.model.pixels,
        batch_size=config.batch_size,
    )
    answers = found.task.answers
    names = [row.paths[0] for row in good]
    # Rows keep the order of the table, those with faults included.
    done = iter(answers.build_rows(names, said, found.class_names))
    result = [
        answers.build_error_row(row.paths[0], fault) if fault else next(done)
        for row, fault in zip(rows, faults, strict=True)
    ]
    if config.output:
        answers.write(pathlib.Path(config.output), result)
        report(answers.summarize(result))
        report(f"Predictions saved to {config.output}")
    else:
        report("\n".join(answers.format_row(row) for row in result))
    return result


def _find_problems(
    found: finished_run.FinishedRun,
    rows: Iterable[row_table.Row],
    config: command_configs.PredictConfig,
) -> dict[str, str]:
    """Returns the reasons why pictures of rows cannot be used, by path."""
    paths = list(dict.fromkeys(path for row in rows for path in row.paths))
    missing = {p: "file not found" for p in paths if not os.path.exists(p)}
    # One picture may belong to several rows; each is decoded once.
    there = [path for path in paths if path not in missing]
    pictures, problems = unlabeled_files.inspect_files(
        there, max_pixels=config.max_pixels
    )
    return {
        **missing,
        **problems,
        **run_prediction.find_undecodable(found, pictures),
    }


def _find_fault(row: row_table.Row, problems: dict[str, str]) -> str:
    for path in row.paths:
        if path in problems:
            return f"{path}: {problems[path]}"
    return ""
