"""Words in label cells: placeholders, and marks such as 1, yes, no."""

from collections.abc import Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.data import class_names
from tf_finetune.data.tables import table_rows

_MARKS = {
    **dict.fromkeys(("true", "yes", "t", "y"), True),
    **dict.fromkeys(("false", "no", "f", "n"), False),
}
_POSSIBLE = "possible are 1, true or yes, and 0, false or no"


def warn_of_missing(
    rows: Sequence[table_rows.Row], column: str, table: str
) -> None:
    """Logs a warning that lists the rows with a placeholder for a label.

    Placeholders are words such as "NaN" or "?"; an empty cell is none. Nothing
    is logged if there is no such row; `rows` is not changed.

    Args:
        rows: All rows of a table.
        column: The column of the labels, which must exist.
        table: The table's name in the message.
    """
    found = [row for row in rows if class_names.is_missing(row.cells[column])]
    if not found:
        return
    lines = ", ".join(str(row.line) for row in found[: class_names.MAX_LISTED])
    if len(found) > class_names.MAX_LISTED:
        lines += f" and {len(found) - class_names.MAX_LISTED} more"
    words = dict.fromkeys(row.cells[column].strip() for row in found)
    logging.warning(
        "%s: %d of %d rows have no label but %s (%s %s) and are left out. "
        "--missing_label=keep makes a class of such words.",
        table,
        len(found),
        len(rows),
        ", ".join(map(repr, words)),
        "line" if len(found) == 1 else "lines",
        lines,
    )


def read_mark(cell: str, column: str, where: str) -> bool:
    """Tells if a cell marks the label of its column as present.

    Args:
        cell: The cell's text: 1, true, yes, t or y; or 0, false, no, f or n; in
            any case.
        column: The column, named after the label.
        where: The row's name in messages: "x.csv, line 3".

    Raises:
        DataError: The cell is empty or any other text.
    """
    text = cell.strip()
    meaning = _parse_mark(text)
    if meaning is not None:
        return meaning
    got = repr(text) if text else "nothing"
    hint = (
        ""
        if text
        else " An empty cell could mean that nobody looked; write 0 where the "
        "label does not apply."
    )
    raise errors.DataError(
        f"{where} has {got} in the column {column!r}; {_POSSIBLE}.{hint}"
    )


def _parse_mark(text: str) -> bool | None:
    """Parses a cell as yes or no; None if it is neither."""
    word = text.strip().lower()
    if word in _MARKS:
        return _MARKS[word]
    try:
        # 1, 1.0 and 1e0 alike: spreadsheets write whole numbers in all ways.
        number = float(word)
    except ValueError:
        return None
    # Other numbers, such as 2, are no marks.
    return bool(number) if number in (0.0, 1.0) else None
