"""What the values in masks mean: files of class names and of colours."""

import csv
import io
import json
import pathlib
import re
from collections.abc import Iterable

from tf_finetune import errors
from tf_finetune.data import class_names

NAMES_FILES = ("classes.json", "labels.txt")
"""Looked for beside the data, in this order."""

Color = tuple[int, int, int]

_FORM = (
    'a CSV file with the columns name,r,g,b or JSON as {"road": [128, 64, 128]}'
)


def names_beside(folder: pathlib.Path) -> tuple[str, ...]:
    """Returns the class names of a data set, by the values in its masks.

    Args:
        folder: Where classes.json (a list, or an object of names by value)
            or labels.txt (a name a line) may lie.

    Returns:
        Name k is that of value k; none if there is no such file.

    Raises:
        DataError: The file cannot be understood.
    """
    for name in NAMES_FILES:
        path = folder / name
        if path.is_file():
            return _names(path)
    return ()


def colors(path: pathlib.Path) -> dict[str, Color]:
    """Reads which colour stands for which class.

    Args:
        path: CSV with the columns name, r, g, b, or JSON with a colour by
            name.

    Returns:
        Colours 0..255 by name, in the order of the file.

    Raises:
        DataError: The file cannot be read, or names something twice.
    """
    text = _text(path)
    is_json = path.suffix.lower() == ".json"
    rows = _json_rows(text, path) if is_json else _csv_rows(text, path)
    found: dict[str, Color] = {}
    for name, color in rows:
        if name in found:
            raise errors.DataError(f"{path} names the class {name!r} twice.")
        if color in found.values():
            raise errors.DataError(
                f"{path} gives the colour {color} to two classes."
            )
        found[name] = color
    if not found:
        raise errors.DataError(f"{path} names no colour; it must be {_FORM}.")
    class_names.check(found)
    return found


def _names(path: pathlib.Path) -> tuple[str, ...]:
    text = _text(path)
    if path.suffix == ".txt":
        names = [line.strip() for line in text.splitlines()]
        while names and not names[-1]:
            names.pop()
    else:
        names = _listed(_parsed(text, path), path)
    class_names.check(names)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise errors.DataError(f"{path} names the class {twice[0]!r} twice.")
    return tuple(names)


def _listed(value: object, path: pathlib.Path) -> list[str]:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda k: int(k) if k.isdecimal() else -1)
        if keys == [str(k) for k in range(len(keys))]:
            value = [value[key] for key in keys]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise errors.DataError(
        f"{path} must be a list of class names, or an object of names by "
        'value from "0" on without a gap.'
    )


def _csv_rows(text: str, path: pathlib.Path) -> Iterable[tuple[str, Color]]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [each for each in ("name", *"rgb") if each not in header]:
        raise errors.DataError(
            f"{path} has no column {missing[0]!r}; it must be {_FORM}."
        )
    reader.fieldnames = header
    for cells in reader:
        where = f"{path}, line {reader.line_num}"
        name = (cells["name"] or "").strip()
        yield name, _color([cells[each] for each in "rgb"], where)


def _json_rows(text: str, path: pathlib.Path) -> Iterable[tuple[str, Color]]:
    value = _parsed(text, path)
    if not isinstance(value, dict):
        raise errors.DataError(f"{path} must be {_FORM}.")
    for name, color in value.items():
        parts = color if isinstance(color, list) else []
        yield name, _color(parts, f"{path}, {name!r}")


def _color(parts: list, where: str) -> Color:
    texts = [str(part).strip() for part in parts]
    is_good = len(texts) == 3 and all(
        re.fullmatch("[0-9]{1,3}", text) and int(text) <= 255 for text in texts
    )
    if not is_good:
        raise errors.DataError(
            f"{where}: a colour is three whole numbers from 0 to 255 (red, "
            f"green, blue), got {', '.join(texts) or 'nothing'}."
        )
    red, green, blue = map(int, texts)
    return red, green, blue


def _parsed(text: str, path: pathlib.Path) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise errors.DataError(f"{path} is not JSON: {error}.") from error


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise errors.DataError(
            f"{path} cannot be read: {error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise errors.DataError(f"{path} is not UTF-8 text.") from error
