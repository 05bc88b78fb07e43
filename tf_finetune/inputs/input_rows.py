"""Rows of a table as values of inputs, before TensorFlow starts."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, stratified_split
from tf_finetune.data.tables import file_locator, table_rows
from tf_finetune.inputs import input_protocol, pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: an example with pictures, numbers and words.

    Attributes:
        where: Names it in messages: "line 3".
        values: By name of the input, a value for each of its columns.
    """

    where: str
    values: Mapping[str, tuple[Any, ...]]

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of its pictures, in the order of --image_column."""
        return self.values[pictures.NAME]


def read_table(options: data_options.DataOptions) -> list[Row]:
    """Reads the inputs of every row of the table in `options.data`.

    Args:
        options: Path of the CSV file, and its columns.

    Raises:
        DataError: A column is missing, or a cell cannot be read.
    """
    path = pathlib.Path(options.data).expanduser()
    needed = {"image_column": options.image_column, **options.input_columns}
    found = list(table_rows.read_rows(path, needed))
    # The names decide in which folder those of another computer begin.
    names = (r.cells[column] for r in found for column in options.image_column)
    files = file_locator.Locator(path, options.image_root, names)
    inputs = input_protocol.list_inputs(options)
    return [
        Row(
            where=f"line {row.line}",
            values={
                each.name: each.read(
                    row.cells, f"{path}, line {row.line}", files
                )
                for each in inputs
            },
        )
        for row in found
    ]


def check_table(options: data_options.DataOptions) -> None:
    """Checks that a model can distinguish the values of each column.

    Args:
        options: Path of the CSV file, and its columns.

    Raises:
        DataError: Values of a column lie too close together, or the table
            cannot be read.
    """
    rows = read_table(options)
    for each in input_protocol.list_inputs(options):
        each.check([row.values[each.name] for row in rows])


def stack_rows(
    inputs: Sequence[input_protocol.Input], rows: Sequence[Row]
) -> dict[str, np.ndarray]:
    """Stacks the values of n rows, as the model's inputs.

    Args:
        inputs: Inputs of the model.
        rows: The n rows.

    Returns:
        Name of the input → [n, …]; pictures are paths.
    """
    return {i.name: i.stack([r.values[i.name] for r in rows]) for i in inputs}


def stack_requests(
    inputs: Sequence[input_protocol.Input], rows: Sequence[Row]
) -> dict[str, np.ndarray]:
    """Stacks the values that a request to a server sends for n rows.

    Args:
        inputs: Inputs of the model.
        rows: The n rows.

    Returns:
        Name of the request field → [n, columns]; pictures are bytes.
    """
    return {
        i.field: i.stack_request([r.values[i.name] for r in rows])
        for i in inputs
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class JoinedRows:
    """Rows of one split with their pictures.

    Attributes:
        rows: Lines of the table.
        pictures: For each row its pictures, in the order of its paths.
    """

    rows: tuple[Row, ...]
    pictures: tuple[tuple[examples.Picture, ...], ...]

    @property
    def names(self) -> list[str]:
        """SHA-256 of every picture file, row by row and in a row by column.

        These are the pictures' names in the feature cache; a picture of several
        rows is repeated.
        """
        return [each.sha256 for row in self.pictures for each in row]

    @property
    def groups(self) -> list[str]:
        """Key of each row; rows that share a group or a picture share it."""
        # Every picture twice: by its own group and by its row, so that rows
        # are joined by either.
        flat = [each for row in self.pictures for each in row]
        flat += [
            dataclasses.replace(each, group=f"row {number}")
            for number, row in enumerate(self.pictures)
            for each in row
        ]
        found = {}
        for number, unit in enumerate(stratified_split.join_units(flat)):
            for picture in unit:
                found[picture.sha256] = f"unit {number}"
        return [found[row[0].sha256] for row in self.pictures]


def make_row_data(
    data: examples.ImageData, joined: Mapping[str, JoinedRows]
) -> examples.ImageData:
    """Returns data of one example per row, represented by its first picture.

    All pictures of a row have its label, so that tasks compute targets,
    metrics and predictions of rows as of pictures.

    Args:
        data: The pictures of a run; it is not changed.
        joined: By split, its rows.
    """
    first = [row[0] for each in joined.values() for row in each.pictures]
    return dataclasses.replace(data, pictures=tuple(first))


def join_pictures(
    rows: Sequence[Row], data: examples.ImageData
) -> tuple[dict[str, JoinedRows], dict[str, str]]:
    """Joins the rows of a table with their pictures, split by split.

    Args:
        rows: All rows of the table.
        data: The pictures that are used.

    Returns:
        By split, its rows; and by row that is left out ("line 3"), the reason:
        a picture is not used, or its pictures are in several splits.

    Raises:
        DataError: A split has no row left.
    """
    # By path without "./" and the like, as tables and runs may write it.
    known = {os.path.normpath(each.path): each for each in data.pictures}
    found: dict[str, list[tuple[Row, tuple[examples.Picture, ...]]]] = {
        split: [] for split in data.splits
    }
    left_out = {}
    for row in rows:
        pictures = [known.get(os.path.normpath(path)) for path in row.paths]
        splits = {each.split for each in pictures if each}
        if None in pictures:
            path = row.paths[pictures.index(None)]
            left_out[row.where] = f"a picture is not used: {path}"
        # Such a row would put pictures of training into evaluation.
        elif len(splits) > 1:
            left_out[row.where] = (
                f"its pictures are in {' and '.join(sorted(splits))}"
            )
        else:
            found[splits.pop()].append((row, tuple(pictures)))
    for split, its_rows in found.items():
        if not its_rows:
            reasons = "; ".join(f"{w}: {r}" for w, r in left_out.items())
            raise errors.DataError(
                f"No row of the {split} split has all its pictures: {reasons}"
            )
    return {
        split: JoinedRows(
            rows=tuple(row for row, _ in its_rows),
            pictures=tuple(pictures for _, pictures in its_rows),
        )
        for split, its_rows in found.items()
    }, left_out
