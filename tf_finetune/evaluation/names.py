"""Class names as they can be shown."""

import unicodedata

from tf_finetune import escaping


def shown(name: str, width: int) -> str:
    """Returns a class name in at most `width` columns, in one line.

    What cannot be printed (line breaks, bytes that are no UTF-8) is escaped;
    a longer name loses its end.
    """
    name = escaping.quote(name)
    if columns(name) <= width:
        return name
    return _head(name, width - 1) + "…"


def bracketed(name: str, note: str, width: int) -> str:
    """Returns "name (note)", or the name alone where that is too wide."""
    note = escaping.quote(note)
    both = f"{name} ({note})"
    return both if columns(both) <= width else name


def padded(name: str, width: int) -> str:
    """Returns `shown`, filled with spaces to exactly `width` columns."""
    text = shown(name, width)
    return text + " " * (width - columns(text))


def columns(text: str) -> int:
    """Returns the width of a text in a terminal (Chinese is twice as wide)."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _head(text: str, width: int) -> str:
    kept, used = "", 0
    for character in text:
        used += _width(character)
        if used > width:
            break
        kept += character
    return kept
