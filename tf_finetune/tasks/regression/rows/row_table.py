"""Rows of a table: pictures, numeric columns, categorical columns, targets."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.tables import file_locator, table_rows
from tf_finetune.tasks.regression import labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table.

    Attributes:
        where: Names it in messages: "line 3".
        paths: Of its pictures, in the order of --image_column.
        numbers: In the order of --numeric_columns; NaN where one is missing.
        words: In the order of --categorical_columns, truncated as given there.
        whole_words: Of each of these columns once, not truncated.
        targets: In the order of --label_column; empty if they were not read.
    """

    where: str
    paths: tuple[str, ...]
    numbers: tuple[float, ...]
    words: tuple[str, ...]
    whole_words: tuple[str, ...] = ()
    targets: tuple[float, ...] = ()


def has_row_inputs(options: data_options.DataOptions) -> bool:
    """Whether the options ask for rows of several pictures or columns."""
    return bool(
        len(options.image_column) > 1
        or options.numeric_columns
        or options.categorical_columns
    )


def read_table(
    options: data_options.DataOptions, *, with_targets: bool = True
) -> list[Row]:
    """Reads the table in `options.data`.

    Args:
        options: The table and its columns.
        with_targets: Whether the columns of targets must exist.

    Raises:
        DataError: It has no such column, or a cell is not what it should be.
    """
    path = pathlib.Path(options.data).expanduser()
    needed = {
        "image_column": options.image_column,
        **labels.LABELS.required_columns(options),
    }
    if not with_targets:
        needed.pop("label_column")
    found = list(table_rows.read_rows(path, needed))
    names = (r.cells[column] for r in found for column in options.image_column)
    files = file_locator.Locator(path, options.image_root, names)
    return [
        _parse_row(each, path, files, options, with_targets) for each in found
    ]


def stack_inputs(
    rows: Sequence[Row],
) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Returns numbers [n, columns] and, for each row, its words.

    Numbers are float64 but rounded to float32, as the exported model reads
    them, so that the solution is fitted to the same values.
    """
    width = len(rows[0].numbers) if rows else 0
    numbers = np.array([row.numbers for row in rows], "float32")
    # TensorFlow takes numbers below the smallest normal float32 for 0.
    numbers[np.abs(numbers) < np.finfo("float32").tiny] = 0
    numbers = numbers.astype("float64").reshape(len(rows), width)
    return numbers, [row.words for row in rows]


def split_length(column: str) -> tuple[str, int | None]:
    """Splits "zipcode:3" into the column and the length; None: all of it.

    Raises:
        UsageError: The text after the colon is not a length.
    """
    name, colon, length = column.partition(":")
    if not colon:
        return name, None
    if not (length.isdecimal() and int(length) > 0):
        raise errors.UsageError(
            f"--categorical_columns={column}: the text after the colon must be "
            f"the number of characters to use, got {length!r}."
        )
    return name, int(length)


def _parse_row(
    row: table_rows.Row,
    path: pathlib.Path,
    files: file_locator.Locator,
    options: data_options.DataOptions,
    with_targets: bool,
) -> Row:
    where, cells = f"{path}, line {row.line}", row.stripped_cells
    targets = ()
    if with_targets:
        targets = labels.LABELS.read_row(cells, where, files, options)
    return Row(
        where=f"line {row.line}",
        paths=tuple(
            files.find(row.cells[column]) for column in options.image_column
        ),
        numbers=tuple(
            _parse_number(cells[column], f"{where}: the number {column!r}")
            for column in options.numeric_columns
        ),
        words=tuple(
            _parse_word(cells, column, where)
            for column in options.categorical_columns
        ),
        whole_words=tuple(
            cells[name]
            for name in dict.fromkeys(
                split_length(column)[0]
                for column in options.categorical_columns
            )
        ),
        targets=targets,
    )


def _parse_number(text: str, what: str) -> float:
    if not text:
        return math.nan
    return labels.parse_number(text, what)


def _parse_word(cells: Mapping[str, str], column: str, where: str) -> str:
    name, length = split_length(column)
    word = cells[name][:length]
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise errors.DataError(
            f"{where}: the word {name!r} is {word!r}, which is not UTF-8."
        ) from error
    return word
