"""Rows of several inputs in the record that exports are checked on."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.inputs import input_protocol, input_rows, pictures
from tf_finetune.runs import moved_pictures
from tf_finetune.workdir import json_schema, workdir_files


def describe_row(joined: input_rows.JoinedRows, index: int) -> dict[str, Any]:
    """Describes a row of a table for the record that exports are checked on.

    Args:
        joined: Rows of one split with their pictures.
        index: Position of the row among them.

    Returns:
        "sha256s", the hash of each of its pictures, and "values", a list of
        values by input name; NaN is stored as None. Ready for JSON.
    """
    return {
        "sha256s": [each.sha256 for each in joined.pictures[index]],
        "values": {
            name: [_to_json(value) for value in values]
            for name, values in joined.rows[index].values.items()
        },
    }


def find_rows(
    place: workdir_files.Workdir,
    entries: Sequence[Mapping[str, Any]],
    finder: moved_pictures.PictureFinder,
    inputs: Sequence[input_protocol.Input],
) -> list[input_rows.Row | None]:
    """Finds the rows of a record whose pictures are all unchanged.

    Args:
        place: Workdir of the run, named in errors.
        entries: Rows as `describe_row` describes them.
        finder: Finds the picture files.
        inputs: Inputs of the run.

    Returns:
        One row per entry with the present paths of its pictures; None where a
        picture has changed or is missing.

    Raises:
        RunError: The entries are not rows of these inputs.
    """
    kinds = {
        each.name: json_schema.Items(
            each.kind, at_least=len(each.columns), at_most=len(each.columns)
        )
        for each in inputs
    }
    kind = json_schema.Record(
        {
            "values": json_schema.Record(kinds),
            "sha256s": kinds[pictures.NAME],
        }
    )
    listed = json_schema.Record({"pictures": json_schema.Items(kind)})
    json_schema.check_value({"pictures": list(entries)}, listed, place.proof)
    return [_find_row(each, finder, list(kinds)) for each in entries]


def _find_row(
    entry: Mapping[str, Any],
    finder: moved_pictures.PictureFinder,
    names: Sequence[str],
) -> input_rows.Row | None:
    values = {
        name: tuple(map(_from_json, entry["values"][name])) for name in names
    }
    named = zip(values[pictures.NAME], entry["sha256s"], strict=True)
    paths = tuple(finder.find(path, sha256) for path, sha256 in named)
    # A row counts only if all of its pictures are unchanged.
    if not all(paths):
        return None
    return input_rows.Row(where="", values={**values, pictures.NAME: paths})


def _to_json(value: Any) -> Any:
    # JSON has no NaN.
    return None if isinstance(value, float) and math.isnan(value) else value


def _from_json(value: Any) -> Any:
    return math.nan if value is None else value
