"""Text out of files as a terminal may be given it: printable, in one line.

Names of classes and files can hold line breaks, colors, window titles and
characters that turn the direction of writing; printed as they are, they fake
what a program says.
"""

from collections.abc import Iterable


class Lines(str):
    """Several printable lines, whose breaks are not those of a name."""

    def __add__(self, more: str) -> "Lines":
        return Lines(str(self) + escape(more))


def join(lines: Iterable[str]) -> Lines:
    """Returns lines as one text, each of them made printable."""
    return Lines("\n".join(map(escape, lines)))


def quote(name: str) -> str:
    r"""Returns a name as it is if it can be printed, else quoted with escapes.

    Example:
        >>> quote("a b.png"), quote("a\nb")
        ('a b.png', "'a\\nb'")
    """
    return name if name.isprintable() else ascii(name)


def line(name: str, answer: str) -> str:
    """Returns what is said of a file, in one printable line."""
    return f"{quote(name)}: {escape(answer)}"


def escape(text: str, *, keep: str = "") -> str:
    r"""Returns a text in which what cannot be printed is escaped.

    Args:
        text: A sentence, with names out of files in it; `Lines` are printable
            already.
        keep: Characters that stay, "\n" for a text of several lines.

    Example:
        >>> escape("für \x1b[31m", keep="\n")
        'für \\x1b[31m'
    """
    if text.isprintable() or isinstance(text, Lines):
        return text
    return "".join(
        each if each.isprintable() or each in keep else _escaped(each)
        for each in text
    )


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]
