"""Exports of a finished run on rows of a table."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tf_finetune import errors, schema
from tf_finetune.config import use
from tf_finetune.exporting import catalog, destination, series
from tf_finetune.exporting.proof import parity
from tf_finetune.exporting.rows import job as jobs
from tf_finetune.runs import moved
from tf_finetune.runs.rows import using
from tf_finetune.runs.use import exports, finished
from tf_finetune.tasks.regression.rows import table


def export(
    found: finished.Finished,
    config: use.ExportConfig,
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
    job = _job(found, config)
    rows = len(job.proof.paths)
    return series.write(
        config.format,
        lambda name: catalog.ROW_EXPORTS.get(name)(job),
        folder=destination.folder(job.destination),
        proven=lambda path: f"{rows} held-out {'row' if rows == 1 else 'rows'}",
        report=report,
    )


def _job(found: finished.Finished, config: use.ExportConfig) -> jobs.RowsJob:
    kept = _kept(found)
    values = np.array([row["values"] for row in kept["proof"]])
    return jobs.RowsJob(
        model=using.load(found),
        source=found.place.fused,
        inputs=_inputs(kept),
        names=found.class_names,
        resize=found.config.model.resize,
        pixels=found.config.model.pixels,
        destination=pathlib.Path(
            config.output or found.place.own(found.place.export)
        ),
        proof=_proof(kept, config.examples, moved.Finder(config.image_root)),
        # Differences are measured relative to each target's range.
        unit=parity.units(values),
        name=exports.served_name(found.place.path),
    )


def _kept(found: finished.Finished) -> Mapping[str, Any]:
    """Reads fused.json: the columns, and rows to check exports on."""
    place, columns = found.place, schema.Items(schema.Text(longest=10_000))
    kind = schema.Record(
        {
            "image_column": columns,
            "numeric_columns": columns,
            "categorical_columns": columns,
            "proof": schema.Anything(),
        }
    )
    try:
        kept = place.content(place.fused_json, kind, megabytes=256)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.RunError(
            f"{place.fused_json} is not there, so an export cannot be checked. "
            "Copy the folder again, or train again."
        ) from error
    schema.check(kept, _proof_kind(kept, found), place.fused_json)
    return kept


def _proof_kind(
    kept: Mapping[str, Any], found: finished.Finished
) -> schema.Record:
    """Returns the schema of the rows, which depends on the columns."""

    def items(kind: schema.Kind, count: int) -> schema.Items:
        return schema.Items(kind, at_least=count, at_most=count)

    text = schema.Text(longest=10_000)
    # zipcode:3 names the column zipcode and the length of its beginnings.
    names = [table.beginning(each)[0] for each in kept["categorical_columns"]]
    pictures = len(kept["image_column"])
    row = schema.Record(
        {
            "paths": items(text, pictures),
            "numbers": items(
                schema.Optional(schema.Number()), len(kept["numeric_columns"])
            ),
            # Columns with several beginnings count once.
            "whole_words": items(text, len(dict.fromkeys(names))),
            "sha256": items(text, pictures),
            "values": items(schema.Number(), len(found.class_names)),
        }
    )
    return schema.Record({"proof": schema.Items(row, at_least=1)})


def _inputs(kept: Mapping[str, Any]) -> jobs.Inputs:
    parts = [table.beginning(each) for each in kept["categorical_columns"]]
    words = tuple(dict.fromkeys(name for name, _ in parts))
    return jobs.Inputs(
        pictures=tuple(kept["image_column"]),
        numbers=tuple(kept["numeric_columns"]),
        words=words,
        beginnings=tuple((words.index(name), length) for name, length in parts),
    )


def _proof(
    kept: Mapping[str, Any], count: int, finder: moved.Finder
) -> jobs.Proof:
    """Returns up to `count` of the rows whose pictures are unchanged.

    Raises:
        RunError: There is none.
    """
    found = [(row, _paths(row, finder)) for row in kept["proof"]]
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
    return jobs.Proof(
        paths=[paths for _, paths in found],
        numbers=np.array(numbers, "float32").reshape(len(rows), -1),
        words=[tuple(row["whole_words"]) for row in rows],
        values=np.array([row["values"] for row in rows]),
    )


def _paths(
    row: Mapping[str, Any], finder: moved.Finder
) -> tuple[str | None, ...]:
    """Returns the paths of a row's pictures, with None for missing ones."""
    pairs = zip(row["paths"], row["sha256"], strict=True)
    return tuple(finder.find(*pair) for pair in pairs)
