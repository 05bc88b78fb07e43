"""Exports of a finished run on rows of a table."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.config import command_configs
from tf_finetune.exports import catalog, destination, multiple_formats
from tf_finetune.exports.parity import parity_check
from tf_finetune.exports.rows import rows_job as jobs
from tf_finetune.runs import moved_pictures
from tf_finetune.runs.finished import finished_run, run_export
from tf_finetune.runs.rows import row_inference
from tf_finetune.tasks.regression.rows import row_table
from tf_finetune.workdir import checked_json, json_schema


def export_rows(
    found: finished_run.FinishedRun,
    config: command_configs.ExportConfig,
    *,
    report: Callable[[str], None],
) -> list[pathlib.Path]:
    """Writes every format that is asked for, checked on rows of the run.

    Args:
        found: The run.
        config: Formats and destination.
        report: Called with the path of each export.

    Raises:
        RunError: An export gives other numbers than the run gave; all formats
            have been tried, and the others are there.
    """
    job = _make_job(found, config)
    rows = len(job.proof.paths)
    return multiple_formats.write_formats(
        config.format,
        lambda name: catalog.ROW_EXPORTS.get(name)(job),
        folder=destination.resolve_folder(job.destination),
        describe_pictures=lambda path: (
            f"{rows} held-out {'row' if rows == 1 else 'rows'}"
        ),
        report=report,
    )


def _make_job(
    found: finished_run.FinishedRun, config: command_configs.ExportConfig
) -> jobs.RowsJob:
    kept = _load_fused_json(found)
    values = np.array([row["values"] for row in kept["proof"]])
    return jobs.RowsJob(
        model=row_inference.load_fused_model(found),
        source=found.place.fused_model,
        inputs=_make_inputs(kept),
        names=found.class_names,
        resize=found.config.model.resize,
        pixels=found.config.model.pixels,
        destination=pathlib.Path(
            config.output or found.place.require_inside(found.place.export)
        ),
        proof=_select_parity_rows(
            kept,
            config.examples,
            moved_pictures.PictureFinder(config.image_root),
        ),
        # Differences are measured relative to each target's range.
        unit=parity_check.compute_units(values),
        name=run_export.make_served_name(found.place.path),
    )


def _load_fused_json(found: finished_run.FinishedRun) -> Mapping[str, Any]:
    """Reads fused.json: the columns, and rows to check exports on."""
    place, columns = (
        found.place,
        json_schema.Items(json_schema.Text(longest=10_000)),
    )
    kind = json_schema.Record(
        {
            "image_column": columns,
            "numeric_columns": columns,
            "categorical_columns": columns,
            "proof": json_schema.Anything(),
        }
    )
    try:
        kept = place.content(place.fused_json, kind, megabytes=256)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.RunError(
            f"{place.fused_json} is not there, so an export cannot be checked. "
            "Copy the folder again, or train again."
        ) from error
    checked_json.check_value(
        kept, _make_rows_kind(kept, found), place.fused_json
    )
    return kept


def _make_rows_kind(
    kept: Mapping[str, Any], found: finished_run.FinishedRun
) -> json_schema.Record:
    """Returns the schema of the rows, which depends on the columns."""

    def items(kind: json_schema.Kind, count: int) -> json_schema.Items:
        return json_schema.Items(kind, at_least=count, at_most=count)

    text = json_schema.Text(longest=10_000)
    # zipcode:3 names the column zipcode and the length of its beginnings.
    names = [
        row_table.split_length(each)[0] for each in kept["categorical_columns"]
    ]
    pictures = len(kept["image_column"])
    row = json_schema.Record(
        {
            "paths": items(text, pictures),
            "numbers": items(
                json_schema.Optional(json_schema.Number()),
                len(kept["numeric_columns"]),
            ),
            # Columns with several beginnings count once.
            "whole_words": items(text, len(dict.fromkeys(names))),
            "sha256": items(text, pictures),
            "values": items(json_schema.Number(), len(found.class_names)),
        }
    )
    return json_schema.Record({"proof": json_schema.Items(row, at_least=1)})


def _make_inputs(kept: Mapping[str, Any]) -> jobs.RowInputs:
    parts = [
        row_table.split_length(each) for each in kept["categorical_columns"]
    ]
    words = tuple(dict.fromkeys(name for name, _ in parts))
    return jobs.RowInputs(
        pictures=tuple(kept["image_column"]),
        numbers=tuple(kept["numeric_columns"]),
        words=words,
        word_prefixes=tuple(
            (words.index(name), length) for name, length in parts
        ),
    )


def _select_parity_rows(
    kept: Mapping[str, Any], count: int, finder: moved_pictures.PictureFinder
) -> jobs.ParityReference:
    """Returns up to `count` of the rows whose pictures are unchanged.

    Raises:
        RunError: There is none.
    """
    found = [(row, _find_paths(row, finder)) for row in kept["proof"]]
    # A row counts only if all of its pictures are unchanged.
    found = [(row, paths) for row, paths in found if all(paths)][:count]
    rows = [row for row, _ in found]
    if not rows:
        raise errors.RunError(
            "Pictures of all held-out rows of the run have changed or are "
            "missing, so an export cannot be checked. If they were moved, name "
            "their folder with --image_root; otherwise restore them, or train "
            "again."
        )
    numbers = [
        # fused.json has null for a missing number.
        [np.nan if each is None else each for each in row["numbers"]]
        for row in rows
    ]
    return jobs.ParityReference(
        paths=[paths for _, paths in found],
        numbers=np.array(numbers, "float32").reshape(len(rows), -1),
        words=[tuple(row["whole_words"]) for row in rows],
        values=np.array([row["values"] for row in rows]),
    )


def _find_paths(
    row: Mapping[str, Any], finder: moved_pictures.PictureFinder
) -> tuple[str | None, ...]:
    """Returns the paths of a row's pictures, with None for missing ones."""
    pairs = zip(row["paths"], row["sha256"], strict=True)
    return tuple(finder.find(*pair) for pair in pairs)
