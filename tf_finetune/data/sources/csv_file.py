"""Pictures listed in a CSV file: image, label and, if there, split, group."""

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
    """A table with one picture a row; paths are relative to the table."""

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


def _repeated(row: _Row, first: _Row, path: pathlib.Path) -> str:
    """Returns the reason to drop a row whose picture was listed before.

    Raises:
        DataError: The two rows do not say the same.
    """
    for what in ("label", "split", "group"):
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
    text = _read(path)
    needed = _needed(options, labels)
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
            where = f"{path}, line {reader.line_num}"
            example = _example(cells, where, path.parent, options, labels)
            yield _Row(line=reader.line_num, example=example)
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
    return {"image_column": (options.image_column,), **columns}


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


def _example(
    cells: dict[str, str | None],
    where: str,
    beside: pathlib.Path,
    options: data_options.DataOptions,
    labels: labelling.Labels,
) -> examples.Example:
    """Turns a row into an example.

    Args:
        cells: By column; None where the row is too short.
        where: Names the row in messages.
        beside: The folder that relative paths start from.
        options: The names of the columns.
        labels: How labels are understood.
    """
    if None in cells:
        raise errors.DataError(
            f"{where} has more cells than the header has columns; put cells "
            "that hold the delimiter in double quotes."
        )
    image = cells[options.image_column]
    if not image:
        column = options.image_column
        raise errors.DataError(f"{where} has no image (column {column!r}).")
    stripped = {name: (text or "").strip() for name, text in cells.items()}
    group = (cells.get(options.group_column) or "").strip()
    return examples.Example(
        path=os.path.join(beside, image),
        label=labels.of_row(stripped, where, beside, options),
        split=_split(cells.get(options.split_column), where),
        group=group or None,
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
