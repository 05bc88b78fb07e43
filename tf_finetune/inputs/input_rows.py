"""Rows of a table as values of inputs, before TensorFlow starts."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.config import data_options
from tf_finetune.data.tables import file_locator, table_rows
from tf_finetune.inputs import catalog, input_protocol, pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table.

    Attributes:
        where: Names it in messages: "line 3".
        values: By name of the input, a value for each of its columns.
    """

    where: str
    values: Mapping[str, tuple[Any, ...]]

    @property
    def paths(self) -> tuple[str, ...]:
        """Of its pictures, in the order of --image_column."""
        return self.values[pictures.NAME]


def read_table(options: data_options.DataOptions) -> list[Row]:
    """Reads the inputs of every row of the table in `options.data`.

    Raises:
        DataError: It has no such column, or a cell is not what it should be.
    """
    path = pathlib.Path(options.data).expanduser()
    needed = {"image_column": options.image_column, **options.input_columns}
    found = list(table_rows.read_rows(path, needed))
    names = (r.cells[column] for r in found for column in options.image_column)
    files = file_locator.Locator(path, options.image_root, names)
    inputs = catalog.list_inputs(options)
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
    """Raises `DataError` for columns whose values a model cannot tell apart."""
    rows = read_table(options)
    for each in catalog.list_inputs(options):
        each.check([row.values[each.name] for row in rows])


def stack_rows(
    inputs: Sequence[input_protocol.Input], rows: Sequence[Row]
) -> dict[str, np.ndarray]:
    """Returns the values of rows by name of the input; pictures as paths."""
    return {i.name: i.stack([r.values[i.name] for r in rows]) for i in inputs}


def stack_requests(
    inputs: Sequence[input_protocol.Input], rows: Sequence[Row]
) -> dict[str, np.ndarray]:
    """Returns the values that a request for rows sends, by field."""
    return {
        i.field: i.stack_request([r.values[i.name] for r in rows])
        for i in inputs
    }
