"""Formats class names for terminals and plots."""

import unicodedata

from tf_finetune import terminal_escapes


def shorten_name(name: str, width: int) -> str:
    """Shortens a class name to one line of at most `width` columns.

    Unprintable characters (line breaks, bytes that are not UTF-8) are escaped;
    a longer name is cut off and ends with an ellipsis.
    """
    name = terminal_escapes.quote(name)
    if measure_width(name) <= width:
        return name
    return _cut_to_width(name, width - 1) + "…"


def append_note(name: str, note: str, width: int) -> str:
    """Formats "name (note)", or the name alone where that is too wide."""
    note = terminal_escapes.quote(note)
    both = f"{name} ({note})"
    return both if measure_width(both) <= width else name


def pad_name(name: str, width: int) -> str:
    """Shortens a name and pads it with spaces to exactly `width` columns."""
    text = shorten_name(name, width)
    return text + " " * (width - measure_width(text))


def measure_width(text: str) -> int:
    """Measures the width of a text in a terminal; Chinese is double width."""
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    # An accent is drawn over the letter before it.
    if unicodedata.combining(character):
        return 0
    # W: wide, F: full width, of Unicode's East Asian Width (annex 11).
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut_to_width(text: str, width: int) -> str:
    kept, used = "", 0
    for character in text:
        used += _character_width(character)
        if used > width:
            break
        kept += character
    return kept
