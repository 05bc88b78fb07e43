"""Pictures listed in a CSV file: image, label and optional split and group.

Of a row with several pictures each is an example of its own; they have the
row's label and are one group.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, label_protocol
from tf_finetune.data.sources import image_folder
from tf_finetune.data.tables import file_locator, table_reports, table_rows

_SUFFIXES = (".csv", ".tsv")
# What --split_column and --group_column are if nobody gave them; such a column
# may be absent.
_DEFAULT_COLUMNS = {"split_column": "split", "group_column": "group"}


class CsvFile:
    """Data source for the pictures that a CSV table names.

    Their paths start from the table's folder or --image_root.
    """

    def recognizes(self, data: str) -> bool:
        """Tells if `data` is an existing file named .csv or .tsv."""
        return is_table(data)

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: label_protocol.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists the pictures of all rows with their labels, splits and groups.

        Missing files, repeated rows and rows without a label are dropped, with
        a warning.

        Args:
            options: Path of the table, and the names of its columns.
            labels: The task's labels, which read the cells.
            cache_dir: Not used.

        Returns:
            The examples in the order of the rows, and the dropped files.

        Raises:
            DataError: A column is missing, a row is incomplete or contradicts
                another one, no picture is found, no picture of some class is
                found, or the file cannot be read.
        """
        path = pathlib.Path(options.data).expanduser()
        table = _read_table(path, options, labels)
        kept: dict[str, _ListedPicture] = {}
        dropped = []
        missing: list[str] = []
        lost: list[examples.Example] = []
        for row in _list_rows(table, options):
            example, reason = row.example, ""
            # a.jpg and ./a.jpg are one picture.
            key = os.path.normpath(example.path)
            if example.label is None:
                reason = f"no label in line {row.line}"
            elif key in kept:
                reason = _explain_repeat(row, kept[key], table)
            elif not os.path.exists(example.path):
                reason = file_locator.explain_missing(row.name)
                missing.append(row.name)
                lost.append(example)
            if reason:
                dropped.append(
                    examples.DroppedFile(path=example.path, reason=reason)
                )
            else:
                kept[key] = row
        if not kept and not dropped:
            raise errors.DataError(f"{path} has a header but no rows.")
        found = [row.example for row in kept.values()]
        # In this order: how names were read, then what is still not found.
        table.files.tell()
        table_reports.report_missing(table.files, missing, found=len(found))
        table_reports.check_empty_classes(table, found, lost)
        table_reports.check_label_files(table, options)
        table_reports.report_columns(table, found, options)
        return examples.Listing(examples=tuple(found), dropped=tuple(dropped))


SOURCE = CsvFile()


def is_table(data: str) -> bool:
    """Tells if `data` is the path of an existing file named .csv or .tsv."""
    path = pathlib.Path(data).expanduser()
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def list_paths(options: data_options.DataOptions) -> list[str]:
    """Lists the pictures that a table names, each once, without labels.

    Args:
        options: Path of the table, and the names of its picture columns.

    Returns:
        Paths in the order of the rows. A picture that does not exist is among
        them, by the path where it was looked for.

    Raises:
        DataError: A column is missing, no picture is named or found, or the
            file cannot be read.
    """
    path = pathlib.Path(options.data).expanduser()
    columns = options.image_column
    rows = list(table_rows.read_rows(path, {"image_column": columns}))
    names = [row.cells[column] for row in rows for column in columns]
    names = [name for name in names if name.strip()]
    if not names:
        raise errors.DataError(f"{path} names no picture.")
    empty = [
        row.line
        for row in rows
        if not any(row.cells[column].strip() for column in columns)
    ]
    if empty:
        logging.warning(
            "%s: %d of %d rows name no picture, first in line %d, and get no "
            "prediction.",
            *(path, len(empty), len(rows), empty[0]),
        )
    files = file_locator.Locator(path, options.image_root, names)
    paths = {files.find(name): name for name in names}
    missing = [name for p, name in paths.items() if not os.path.exists(p)]
    files.tell()
    table_reports.report_missing(
        files, missing, found=len(paths) - len(missing)
    )
    return list(paths)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ListedPicture:
    """A picture that a row names.

    Attributes:
        line: Number of the row's line.
        name: The picture's name as it stands in the row.
        example: The picture with its label; the label is None if it is missing.
        is_one_of_several: Whether the row names several pictures.
    """

    line: int
    name: str
    example: examples.Example
    is_one_of_several: bool


def _read_table(
    path: pathlib.Path,
    options: data_options.DataOptions,
    labels: label_protocol.Labels,
) -> table_reports.Table:
    needed = {
        "image_column": options.image_column,
        **labels.required_columns(options),
        **options.input_columns,
    }
    optional = []
    # A column that somebody asked for must exist.
    for flag, unasked in _DEFAULT_COLUMNS.items():
        column = getattr(options, flag)
        if column == unasked:
            optional.append(column)
        elif column is not None:
            needed[flag] = (column,)
    rows = list(table_rows.read_rows(path, needed, optional))
    labels = labels.configure_for_table(rows, str(path), options)
    columns = {*options.image_column, *labels.file_columns(options)}
    names = (row.cells[column] for row in rows for column in columns)
    files = file_locator.Locator(path, options.image_root, names)
    return table_reports.Table(path=path, rows=rows, files=files, labels=labels)


def _list_rows(
    table: table_reports.Table, options: data_options.DataOptions
) -> Iterator[_ListedPicture]:
    """Turns each row into an example for each of its pictures."""
    several = len(options.image_column) > 1
    for row in table.rows:
        where = f"{table.path}, line {row.line}"
        stripped = row.stripped_cells
        group = stripped.get(options.group_column or "") or None
        if several:
            # Pictures of one row must not be divided between splits.
            group = group or f"line {row.line}"
        for column in options.image_column:
            if not stripped[column]:
                raise errors.DataError(
                    f"{where} has no image (column {column!r})."
                )
            name = row.cells[column]
            example = examples.Example(
                path=table.files.find(name),
                label=table.labels.read_row(
                    stripped, where, table.files, options
                ),
                split=_parse_split(
                    stripped.get(options.split_column or ""), where
                ),
                group=group,
            )
            yield _ListedPicture(
                line=row.line,
                name=name,
                example=example,
                is_one_of_several=several,
            )


def _explain_repeat(
    row: _ListedPicture, first: _ListedPicture, table: table_reports.Table
) -> str:
    """Returns the reason to drop a row whose picture was listed before.

    Raises:
        DataError: The two rows do not say the same.
    """
    # Groups of rows with several pictures are the lines themselves.
    for what in (
        "label",
        "split",
        *(() if row.is_one_of_several else ("group",)),
    ):
        now, before = getattr(row.example, what), getattr(first.example, what)
        if now != before:
            advice = "keep one of the rows"
            if what == "label":
                advice = table.labels.if_rows_differ
            raise errors.DataError(
                f"{table.path} gives {row.example.path} two values of {what}: "
                f"{before!r} in line {first.line}, {now!r} in line "
                f"{row.line}; {advice}."
            )
    return f"listed twice: in line {first.line} and in line {row.line}"


def _parse_split(word: str | None, where: str) -> str | None:
    word = (word or "").strip()
    if not word:
        return None
    if word.lower() not in image_folder.SPLIT_WORDS:
        known = ", ".join(image_folder.SPLIT_WORDS)
        raise errors.DataError(
            f"{where} has the unknown split {word!r}; possible: {known}."
        )
    return image_folder.SPLIT_WORDS[word.lower()]
