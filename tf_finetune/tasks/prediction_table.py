"""The CSV table of predictions, whose cells may hold anything."""

import csv
import io
import pathlib
import re
from collections.abc import Sequence

from tf_finetune import files

# The column of the true label, where it is known.
TRUE_COLUMN = "true"
# Spreadsheets compute cells that begin with these (CSV injection), also in the
# full-width forms of Chinese and Japanese input.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER_PATTERN = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def write_table(
    path: pathlib.Path,
    columns: Sequence[str],
    table: Sequence[Sequence[str]],
    truths: Sequence[str] | None = None,
) -> None:
    """Writes rows of cells as CSV, atomically; cells may hold anything.

    Cells that a spreadsheet would compute are quoted, see `quote_formula`;
    `read_table` gives them back as they were.

    Args:
        path: The file.
        columns: Their names.
        table: The rows.
        truths: True label of each row, for a last column `true`; None: the
            labels are unknown.
    """
    if truths is not None:
        columns = [*columns, TRUE_COLUMN]
        table = [
            [*cells, truth] for cells, truth in zip(table, truths, strict=True)
        ]
    rows = [[quote_formula(cell) for cell in cells] for cells in table]
    # Before Python 3.13, csv does not quote a lone carriage return.
    returns = any("\r" in cell for cells in rows for cell in cells)
    quoting = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=quoting)
    writer.writerow([quote_formula(each) for each in columns])
    writer.writerows(rows)
    files.write_text(pathlib.Path(path), text.getvalue())


def read_table(path: str | pathlib.Path) -> list[dict[str, str]]:
    """Reads the rows of a table of predictions, exactly as they were written.

    Args:
        path: predictions.csv of a run, or a file of `predict --output`.

    Returns:
        Text by column.
    """
    # surrogateescape brings back the bytes of paths that are not UTF-8.
    with open(
        path, encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        reader = csv.reader(file)
        columns = [unquote_formula(each) for each in next(reader, [])]
        return [
            dict(zip(columns, map(unquote_formula, cells), strict=True))
            for cells in reader
        ]


def quote_formula(cell: str) -> str:
    """Quotes a cell so that spreadsheets show it instead of computing it.

    Text that begins like a formula gets an apostrophe in front, as do texts
    that begin with an apostrophe; numbers stay as they are.
    """
    # "-0.5" is a number, not a formula; a leading apostrophe is doubled, so
    # that reading can always remove one.
    is_formula = cell.startswith(
        _FORMULA_STARTS
    ) and not _NUMBER_PATTERN.fullmatch(cell)
    return f"'{cell}" if is_formula or cell.startswith("'") else cell


def unquote_formula(cell: str) -> str:
    """Undoes `quote_formula`."""
    return cell.removeprefix("'")


def escape_separators(name: str) -> str:
    """Escapes backslashes and bars of a name in a list separated by bars."""
    # Backslashes first, or those in front of bars would be doubled.
    return name.replace("\\", "\\\\").replace("|", "\\|")
