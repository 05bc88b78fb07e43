"""Words in the cells of labels: missing ones, and marks such as 1, yes, no."""

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
    """Logs the rows whose label is missing, if there are any.

    Args:
        rows: All of a table.
        column: That of the labels.
        table: Its name in the message.
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
    """Returns whether the label of a column applies to a row.

    Args:
        cell: The text.
        column: The label.
        where: Names the row in messages: "x.csv, line 3".

    Raises:
        DataError: The cell says neither.
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
    return bool(number) if number in (0.0, 1.0) else None
