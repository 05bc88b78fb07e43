"""Escapes text from files so that it is safe to print in a terminal.

Names of classes and files can hold line breaks, colors, window titles and
characters that turn the direction of writing; printed as they are, they fake
what a program says.
"""

import unicodedata
from collections.abc import Iterable


class EscapedLines(str):
    """Text of several lines, each of which is escaped already."""

    def __add__(self, more: str) -> "EscapedLines":
        # Appended text may hold names; it is escaped like every other.
        return EscapedLines(str(self) + escape(more))


def join_lines(lines: Iterable[str]) -> EscapedLines:
    """Escapes each line and joins them into one text of several lines."""
    return EscapedLines("\n".join(map(escape, lines)))


def quote(name: str) -> str:
    r"""Returns a name as it is if it can be printed, else quoted with escapes.

    Example:
        >>> quote("a b.png"), quote("a\nb")
        ('a b.png', "'a\\nb'")
    """
    return name if name.isprintable() else ascii(name)


def format_line(name: str, answer: str) -> str:
    """Returns "NAME: ANSWER", a file and a message about it, printable."""
    return f"{quote(name)}: {escape(answer)}"


def escape(text: str, *, keep: str = "") -> str:
    r"""Escapes the unprintable characters of a text.

    Args:
        text: A sentence, with names out of files in it; `EscapedLines` are
            printable already.
        keep: Characters that stay, "\n" for a text of several lines.

    Example:
        >>> escape("für \x1b[31m", keep="\n")
        'für \\x1b[31m'
    """
    if text.isprintable() or isinstance(text, EscapedLines):
        return text
    return "".join(
        each if each.isprintable() or each in keep else _escape_character(each)
        for each in text
    )


def _escape_character(character: str) -> str:
    return ascii(character)[1:-1]  # Without its quotes.


def shorten_name(name: str, width: int) -> str:
    """Shortens a class name to one line of at most `width` columns.

    Unprintable characters (line breaks, bytes that are not UTF-8) are escaped;
    a longer name is cut off and ends with an ellipsis.
    """
    name = quote(name)
    if measure_width(name) <= width:
        return name
    return _cut_to_width(name, width - 1) + "…"


def append_note(name: str, note: str, width: int) -> str:
    """Returns "name (note)", or the name alone where that is too wide.

    Args:
        name: Printable text, which is not escaped or cut.
        note: Text that is quoted if it cannot be printed.
        width: Largest width in terminal columns.
    """
    note = quote(note)
    both = f"{name} ({note})"
    return both if measure_width(both) <= width else name


def pad_name(name: str, width: int) -> str:
    """Shortens a name and pads it with spaces to exactly `width` columns."""
    text = shorten_name(name, width)
    return text + " " * (width - measure_width(text))


def measure_width(text: str) -> int:
    """Measures a text in terminal columns; a Chinese character takes two."""
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
