"""Pictures listed in a CSV file: image, label and, if there, split, group.

Of a row with several pictures each is an example of its own; they have the
row's label and are one group.
"""

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterator, Mapping

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, labelling
from tf_finetune.data.sources import folder

_SUFFIXES = (".csv", ".tsv")
_DELIMITERS = (",", ";", "\t")


class CsvFile:
    """A table of pictures; paths are relative to the table."""

    def recognises(self, data: str) -> bool:
        """Tells if `data` is a file named .csv or .tsv."""
        path = pathlib.Path(data).expanduser()
        return path.suffix.lower() in _SUFFIXES and path.is_file()

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: labelling.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists the rows; missing files and repeated rows are dropped.

        Raises:
            DataError: A column is missing, a row is incomplete or
                contradicts another one, or the file cannot be read.
        """
        path = pathlib.Path(options.data).expanduser()
        kept: dict[str, _Row] = {}
        dropped = []
        for row in _rows(path, options, labels):
            example = row.example
            key = os.path.normpath(example.path)
            if key in kept:
                reason = _repeated(row, kept[key], path)
            elif not os.path.exists(example.path):
                reason = "file not found"
            else:
                kept[key] = row
                continue
            dropped.append(examples.Dropped(path=example.path, reason=reason))
        if not kept and not dropped:
            raise errors.DataError(f"{path} has a header but no rows.")
        return examples.Listing(
            examples=tuple(row.example for row in kept.values()),
            dropped=tuple(dropped),
        )


SOURCE = CsvFile()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    line: int
    example: examples.Example
    is_one_of_many: bool


def _repeated(row: _Row, first: _Row, path: pathlib.Path) -> str:
    """Returns the reason to drop a row whose picture was listed before.

    Raises:
        DataError: The two rows do not say the same.
    """
    for what in ("label", "split", *(() if row.is_one_of_many else ("group",))):
        now, before = getattr(row.example, what), getattr(first.example, what)
        if now != before:
            raise errors.DataError(
                f"{path} gives {row.example.path} two values of {what}: "
                f"{before!r} in line {first.line}, {now!r} in line "
                f"{row.line}; keep one of the rows."
            )
    return f"listed twice: in line {first.line} and in line {row.line}"


def _rows(
    path: pathlib.Path,
    options: data_options.DataOptions,
    labels: labelling.Labels,
) -> Iterator[_Row]:
    several = len(options.image_column) > 1
    for line, cells in cells_of(path, _needed(options, labels)):
        for example in _examples(cells, line, path, options, labels):
            yield _Row(line=line, example=example, is_one_of_many=several)


def cells_of(
    path: pathlib.Path, needed: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the number of the last line of each row, and its cells.

    Args:
        path: The table.
        needed: Columns that must exist, by the flag that names them.

    Raises:
        DataError: One does not, or the file is no table.
    """
    text = _read(path)
    reader = csv.DictReader(
        io.StringIO(text, newline=""),
        delimiter=_delimiter(text, needed),
        skipinitialspace=True,
    )
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        _check_header(header, path, needed)
        reader.fieldnames = header
        for cells in reader:
            if None in cells:
                raise errors.DataError(
                    f"{path}, line {reader.line_num} has more cells than the "
                    "header has columns; put cells that hold the delimiter in "
                    "double quotes."
                )
            yield reader.line_num, {k: v or "" for k, v in cells.items()}
    except csv.Error as error:
        raise errors.DataError(
            f"{path}, line {reader.reader.line_num} is not CSV: {error}."
        ) from error


def _read(path: pathlib.Path) -> str:
    """Returns the text; bytes that are no UTF-8 survive in file names."""
    try:
        # A pipe would be waited for, a device read without end.
        if path.exists() and not path.is_file():
            raise errors.DataError(
                f"The CSV file {path} is not a regular file; give a file."
            )
        content = path.read_bytes()
    except OSError as error:
        raise errors.DataError(
            f"The CSV file {path} cannot be read: {error.strerror}."
        ) from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # As Excel saves it.
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding, errors="surrogateescape")
    except UnicodeDecodeError as error:
        raise errors.DataError(
            f"{path} is not text ({error.reason}); save it as UTF-8."
        ) from error


def _needed(
    options: data_options.DataOptions, labels: labelling.Labels
) -> dict[str, tuple[str, ...]]:
    """Returns the columns that must exist, by the flag that names them."""
    columns = labels.columns(options)
    return {"image_column": options.image_column, **columns}


def _delimiter(text: str, needed: Mapping[str, tuple[str, ...]]) -> str:
    """Returns the delimiter that makes the header hold the needed columns."""
    for delimiter in _DELIMITERS:
        rows = csv.reader(
            text[:10_000].splitlines()[:1],
            delimiter=delimiter,
            skipinitialspace=True,
        )
        header = [name.strip() for name in next(rows, [])]
        if {name for names in needed.values() for name in names} <= set(header):
            return delimiter
    return ","


def _check_header(
    header: list[str],
    path: pathlib.Path,
    needed: Mapping[str, tuple[str, ...]],
) -> None:
    for flag, names in needed.items():
        if lacking := [name for name in names if name not in header]:
            columns = ", ".join(header) or "none, the file is empty"
            raise errors.DataError(
                f"{path} has no column {lacking[0]!r}; its columns: {columns}. "
                f"--{flag} says which one it is."
            )
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise errors.DataError(
            f"{path} has two columns named {twice[0]!r}; rename one."
        )


def _examples(
    cells: Mapping[str, str],
    line: int,
    path: pathlib.Path,
    options: data_options.DataOptions,
    labels: labelling.Labels,
) -> Iterator[examples.Example]:
    """Turns a row into an example for each of its pictures.

    Args:
        cells: By column; empty where the row is too short.
        line: Of the row.
        path: Of the table.
        options: The names of the columns.
        labels: How labels are understood.
    """
    where = f"{path}, line {line}"
    stripped = {name: text.strip() for name, text in cells.items()}
    group = stripped.get(options.group_column) or None
    if len(options.image_column) > 1:
        group = group or f"line {line}"
    for column in options.image_column:
        if not cells[column]:
            raise errors.DataError(f"{where} has no image (column {column!r}).")
        yield examples.Example(
            path=os.path.join(path.parent, cells[column]),
            label=labels.of_row(stripped, where, path.parent, options),
            split=_split(stripped.get(options.split_column), where),
            group=group,
        )


def _split(word: str | None, where: str) -> str | None:
    word = (word or "").strip()
    if not word:
        return None
    if word.lower() not in folder.SPLIT_WORDS:
        known = ", ".join(folder.SPLIT_WORDS)
        raise errors.DataError(
            f"{where} has the unknown split {word!r}; possible: {known}."
        )
    return folder.SPLIT_WORDS[word.lower()]
