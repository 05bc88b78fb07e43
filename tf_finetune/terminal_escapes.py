"""Escapes text from files so that it is safe to print in a terminal.

Names of classes and files can hold line breaks, colors, window titles and
characters that turn the direction of writing; printed as they are, they fake
what a program says.
"""

from collections.abc import Iterable


class EscapedLines(str):
    """Text of several lines, each of which is escaped already."""

    def __add__(self, more: str) -> "EscapedLines":
        # Appended text may hold names; it is escaped like every other.
        return EscapedLines(str(self) + escape(more))


def join_lines(lines: Iterable[str]) -> EscapedLines:
    """Joins lines into one text and escapes each of them."""
    return EscapedLines("\n".join(map(escape, lines)))


def quote(name: str) -> str:
    r"""Returns a name as it is if it can be printed, else quoted with escapes.

    Example:
        >>> quote("a b.png"), quote("a\nb")
        ('a b.png', "'a\\nb'")
    """
    return name if name.isprintable() else ascii(name)


def format_line(name: str, answer: str) -> str:
    """Returns a file's name and a message about it as one printable line."""
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
