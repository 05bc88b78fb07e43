"""Parser of table cells that hold labels: `a|b|c`, other separators, lists."""

import ast
import collections
import re
from collections.abc import Iterable

from tf_finetune import errors

SEPARATOR = "|"

CHARACTERS = {
    "bar": "|",
    "semicolon": ";",
    "tab": "\t",
    "line": "\n",
    "comma": ",",
    "slash": "/",
    "plus": "+",
    "ampersand": "&",
    "colon": ":",
    "dash": "-",
    "underscore": "_",
    "blank": " ",
}
"""Separators by their words, those that names rarely hold first."""

# One character, or an escaped bar or backslash.
_ESCAPED = re.compile(r"\\[\\|]|.", re.DOTALL)
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
# A quoted string, then a comma, another quote (NumPy) or the end; `u` is of
# Python 2.
_QUOTED_ITEM = re.compile(rf"\s*[uU]?({_QUOTED})\s*(,|(?=['\"]|$))", re.DOTALL)


def parse_cell(cell: str, where: str, separator: str) -> tuple[str, ...]:
    r"""Parses the labels in a table cell.

    Args:
        cell: Its text; spaces around labels do not count. Empty: no label. In
            `a|b`, `\|` stands for a `|` within a label and `\\` for a
            backslash.
        where: Names the cell in messages.
        separator: A key of `CHARACTERS`, "list" or "none" (one label a cell).

    Returns:
        The labels, sorted; empty for an empty cell.

    Raises:
        DataError: A label is empty or occurs twice, or the cell is not a list
            although `separator` is "list".
    """
    if not cell.strip():
        return ()
    labels = split_cell(cell, separator)
    if labels is None:
        raise errors.DataError(
            f"{where}: {cell!r} is not a list of labels such as ['a', 'b']."
        )
    if "" in labels:
        shown = "'|'" if separator == "bar" else separator
        shown = "a single " + shown
        raise errors.DataError(
            f"{where}: {cell!r} holds an empty label; labels are separated by "
            f"{shown}, and only a picture without any has an empty "
            "cell."
        )
    for name, count in collections.Counter(labels).items():
        if count > 1:
            raise errors.DataError(f"{where}: {cell!r} holds {name!r} twice.")
    return tuple(sorted(labels))


def split_cell(cell: str, separator: str) -> list[str] | None:
    """Splits the text of a cell into pieces.

    Args:
        cell: Its text.
        separator: A key of `CHARACTERS` such as "comma", "list" for a list as
            Python or JSON writes it, or "none" (no split).

    Returns:
        Pieces without spaces around them, possibly empty strings; None if
        `separator` is "list" and the cell is not a list.
    """
    if separator == "list":
        return _parse_list(cell.strip())
    if separator == "bar":
        return _split_at_bars(cell)
    if separator == "none":
        return [cell.strip()]
    # Any run of white space is one separator.
    if separator == "blank":
        return cell.split()
    if separator == "line":
        return [each.strip() for each in cell.strip().splitlines()]
    return [each.strip() for each in cell.split(CHARACTERS[separator])]


def has_several_labels(cell: str, separator: str) -> bool:
    """Returns whether a separator splits a cell into several pieces.

    Args:
        cell: Text of the cell.
        separator: As in `split_cell`.
    """
    return len(split_cell(cell, separator) or ()) > 1


def join_labels(labels: Iterable[str]) -> str:
    """Joins labels as `a|b|c`, which `parse_cell` reads with "bar"."""
    return SEPARATOR.join(escape_label(each) for each in labels)


def escape_label(name: str) -> str:
    r"""Escapes a label: `\|` for `|` and `\\` for a backslash."""
    return name.replace("\\", "\\\\").replace(SEPARATOR, "\\" + SEPARATOR)


def _split_at_bars(cell: str) -> list[str]:
    labels = [""]
    # An escaped character is two long, and its second one is kept.
    for found in _ESCAPED.findall(cell):
        if found == SEPARATOR:
            labels.append("")
        else:
            labels[-1] += found[-1]
    return [each.strip() for each in labels]


def _parse_list(text: str) -> list[str] | None:
    """Parses a list as Python, JSON or NumPy write it; no code is run.

    Quotes may be left out: [a, b]. Python would join the strings of ['a' 'b'],
    as NumPy writes two of them.
    """
    if len(text) < 2 or _BRACKETS.get(text[0]) != text[-1]:
        return None
    inner = text[1:-1].strip()
    if not inner:
        return []
    if inner[0] not in "'\"" and inner[:2].lower() not in ("u'", 'u"'):
        items = inner.rstrip(",").split("," if "," in inner else None)
        return [each.strip() for each in items]
    found, place = [], 0
    while place < len(inner):
        item = _QUOTED_ITEM.match(inner, place)
        if item is None:
            return None
        try:
            found.append(str(ast.literal_eval(item[1])).strip())
        except (ValueError, SyntaxError):
            return None
        place = item.end()
    return found
