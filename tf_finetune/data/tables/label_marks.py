"""Cells that state whether a label applies: 0 and 1, or words for them."""

from tf_finetune import errors

_WORDS = {
    **dict.fromkeys(("true", "yes", "t", "y"), True),
    **dict.fromkeys(("false", "no", "f", "n"), False),
}
_POSSIBLE = "possible are 1, true or yes, and 0, false or no"


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
    if word in _WORDS:
        return _WORDS[word]
    try:
        # 1, 1.0 and 1e0 alike: spreadsheets write whole numbers in all ways.
        number = float(word)
    except ValueError:
        return None
    return bool(number) if number in (0.0, 1.0) else None
