"""Reading of CSV tables: delimiter, header and the cells of rows.

Work and memory grow with the size of the file alone: of a row only the cells of
the requested columns are kept, however many columns there are.
"""

import csv
import dataclasses
import difflib
import io
import itertools
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.data.folders import ignored_folders

_DELIMITERS = (",", ";", "\t", "|")
# Spreadsheets write the delimiter into a line of its own before the header.
_DECLARED = re.compile(r"sep=.\r?(?=\n)", re.IGNORECASE)
# Columns that a message names, and among which it looks for a like-named one.
_MAX_SHOWN = 20
_MAX_COMPARED = 1000

# Stands behind the last line, where no quotes are open.
_END = "\ufffeend of the table"

Cells = dict[str, str]
"""Text by column, called as it was asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Attributes:
        line: Number of the row's last line in the file, from 1.
        cells: Text by column name, of the requested columns that exist; empty
            text where the row is too short.
    """

    line: int
    cells: Cells

    @property
    def stripped_cells(self) -> Cells:
        """The cells without blanks around them."""
        return {name: text.strip() for name, text in self.cells.items()}


def read_rows(
    path: pathlib.Path,
    needed: Mapping[str, Sequence[str]],
    optional: Sequence[str] = (),
) -> Iterator[Row]:
    """Yields the rows of a CSV table.

    Delimiter (comma, semicolon, tab or bar) and encoding (UTF-8 or UTF-16) are
    detected; empty lines are left out. A column is found by its name, or by
    that name in other case if there is one such column.

    Args:
        path: Path of the table.
        needed: Columns that must exist, by the flag that names them.
        optional: Further columns that are read where they exist.

    Yields:
        Each row; its cells are keyed by the names as requested.

    Raises:
        DataError: A needed column does not exist, two could be meant, a row has
            too many cells, or the file is not CSV or cannot be read. Raised
            during the iteration.
    """
    text = _DECLARED.sub("", _read_text(path), count=1)
    rows = _split_rows(text, _find_delimiter(text, needed, path), path)
    _, header = next(rows, (0, []))
    header = [name.strip() for name in header]
    places = _find_columns(header, path, needed, optional)
    for line, cells in rows:
        # Empty cells at the end are common: spreadsheets pad rows.
        if any(cell.strip() for cell in cells[len(header) :]):
            raise errors.DataError(
                f"{path}, line {line} has more cells than the header has "
                "columns; put cells that hold the delimiter in double quotes."
            )
        yield Row(
            line=line,
            cells={
                name: cells[place] if place < len(cells) else ""
                for name, place in places.items()
            },
        )


def _split_rows(
    text: str, delimiter: str, path: pathlib.Path
) -> Iterator[tuple[int, list[str]]]:
    """Yields the last line's number and the cells of each row that has any."""
    lines = itertools.chain(io.StringIO(text, newline=""), [_END])
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    last = 0
    try:
        for cells in reader:
            if cells == [_END]:
                return
            # Python's parser ends such a cell at the end of the file.
            if cells and cells[-1].endswith(_END):
                raise errors.DataError(
                    f"{path}, line {last + 1} opens double quotes that nothing "
                    "closes: all that follows would be one cell. Close them; "
                    'double quotes within a cell are written "".'
                )
            last = reader.line_num
            if cells:
                yield last, cells
    except csv.Error as error:
        raise errors.DataError(
            f"{path}, line {reader.line_num} is not CSV: {error}."
        ) from error


def read_header(
    path: pathlib.Path, needed: Mapping[str, Sequence[str]]
) -> list[str]:
    """Returns the names of all columns, without blanks around them.

    Args:
        path: Path of the table.
        needed: Columns that exist, by the flag that names them; they tell the
            delimiter.

    Raises:
        DataError: The file cannot be read or is not text.
    """
    text = _DECLARED.sub("", _read_text(path), count=1)
    delimiter = _find_delimiter(text, needed, path)
    return [name.strip() for name in _split_header(text, delimiter, path)]


def _read_text(path: pathlib.Path) -> str:
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
        # Without the byte order mark, if there is one.
        encoding = "utf-8-sig"
    try:
        # Kept as surrogates, as Python keeps such bytes in file names.
        return content.decode(encoding, errors="surrogateescape")
    except UnicodeDecodeError as error:
        raise errors.DataError(
            f"{path} is not text ({error.reason}); save it as UTF-8."
        ) from error


def _find_delimiter(
    text: str, needed: Mapping[str, Sequence[str]], path: pathlib.Path
) -> str:
    """Returns the delimiter that makes the header hold the needed columns.

    Where none does, the one that makes most columns, so that a message names
    these.
    """
    wanted = {name.casefold() for names in needed.values() for name in names}
    headers = {each: _split_header(text, each, path) for each in _DELIMITERS}
    # In the order of `_DELIMITERS`: a comma wins where several fit.
    for delimiter, header in headers.items():
        if wanted <= {name.strip().casefold() for name in header}:
            return delimiter
    return max(headers, key=lambda each: len(headers[each]))


def _split_header(text: str, delimiter: str, path: pathlib.Path) -> list[str]:
    """Returns the first row, split at a delimiter that may be the wrong one."""
    try:
        return next(_split_rows(text, delimiter, path), (0, []))[1]
    # A header in one piece is longer than a cell may be.
    except errors.DataError:
        return []


def _find_columns(
    header: Sequence[str],
    path: pathlib.Path,
    needed: Mapping[str, Sequence[str]],
    optional: Sequence[str],
) -> dict[str, int]:
    """Returns the place of each column in the rows.

    Raises:
        DataError: A needed column is not there, or two could be meant.
    """
    asked = [(name, flag) for flag, names in needed.items() for name in names]
    asked += [(name, "") for name in optional]
    alike: dict[str, list[int]] = {name.casefold(): [] for name, _ in asked}
    for place, name in enumerate(header):
        folded = name.casefold()
        if folded in alike:
            alike[folded].append(place)
    places = {}
    for name, flag in asked:
        found = alike[name.casefold()]
        exact = [place for place in found if header[place] == name]
        # The exact spelling wins over one that differs in case.
        found = exact or found
        if len(found) > 1:
            raise _ambiguous_column_error(
                name, [header[place] for place in found], path
            )
        if found:
            places[name] = found[0]
        elif flag:
            several = sum(bool(flag) for _, flag in asked) > 1
            raise _missing_column_error(
                name, flag, header, path, several=several
            )
    for name, place in places.items():
        if header[place] != name:
            logging.info(
                "%s: the column %r is read as %r.", path, header[place], name
            )
    return places


def _ambiguous_column_error(
    name: str, found: Sequence[str], path: pathlib.Path
) -> errors.DataError:
    if len(set(found)) == 1:
        return errors.DataError(
            f"{path} has two columns named {found[0]!r}; rename one."
        )
    spelled = " and ".join(map(repr, found))
    return errors.DataError(
        f"{path} has no column {name!r}, but {spelled}; rename one, or give "
        "the name as it is spelled there."
    )


def _missing_column_error(
    name: str,
    flag: str,
    header: Sequence[str],
    path: pathlib.Path,
    *,
    several: bool,
) -> errors.DataError:
    """Returns the error of a missing column.

    Args:
        name: Name of the column.
        flag: The flag that names it.
        header: The columns that are there.
        path: The table.
        several: Whether the table must have several columns.
    """
    if any(_names_a_picture(cell) for cell in header):
        return errors.DataError(
            f"{path} has no column {name!r}: its first line, "
            f"{', '.join(header[:_MAX_SHOWN])!r}, is a row of data already. "
            "Write the names of the columns in a line above it, such as "
            "image,label."
        )
    if several and len(header) == 1:
        return errors.DataError(
            f"{path} has no column {name!r}: its first line, {header[0]!r}, is "
            "in one piece. It must hold the names of the columns, separated "
            "by commas, semicolons, tabs or bars, such as image,label."
        )
    columns = ", ".join(header[:_MAX_SHOWN]) or "none, the file is empty"
    if len(header) > _MAX_SHOWN:
        columns += f" and {len(header) - _MAX_SHOWN} more"
    near = difflib.get_close_matches(name, header[:_MAX_COMPARED], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return errors.DataError(
        f"{path} has no column {name!r}; its columns: {columns}. "
        f"--{flag} says which one it is.{hint}"
    )


def _names_a_picture(cell: str) -> bool:
    suffix = os.path.splitext(cell.strip())[1][1:].lower()
    return suffix in ignored_folders.PICTURE_SUFFIXES
