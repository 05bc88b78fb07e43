"""Placeholder words for missing labels in tables."""

from collections.abc import Sequence

from absl import logging

from tf_finetune.data.tables import table_rows

# As programs write a value that is not there; "none" and "na" in small letters
# are not among them, which people use as names.
_WORDS = frozenset(
    {
        "nan",
        "NaN",
        "NAN",
        "-nan",
        "-NaN",
        "NaT",
        "None",
        "null",
        "Null",
        "NULL",
        "<null>",
        "NA",
        "<NA>",
        "#NA",
        "N/A",
        "n/a",
        "#N/A",
        "#N/A N/A",
        "-",
        "--",
        "?",
    }
)
_MAX_LISTED = 10


def is_missing(cell: str) -> bool:
    """Tells if a cell holds a placeholder for a missing value."""
    return cell.strip() in _WORDS


def warn_of_missing(
    rows: Sequence[table_rows.Row], column: str, table: str
) -> None:
    """Logs the rows whose label is missing, if there are any.

    Args:
        rows: All of a table.
        column: That of the labels.
        table: Its name in the message.
    """
    found = [row for row in rows if is_missing(row.cells[column])]
    if not found:
        return
    lines = ", ".join(str(row.line) for row in found[:_MAX_LISTED])
    if len(found) > _MAX_LISTED:
        lines += f" and {len(found) - _MAX_LISTED} more"
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
