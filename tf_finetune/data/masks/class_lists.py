"""Files that name the classes in masks: class lists and color maps."""

import csv
import io
import json
import pathlib
import re
from collections.abc import Iterable, Sequence

from tf_finetune import errors
from tf_finetune.data import class_names

CLASS_LIST_FILES = ("classes.json", "labels.txt")
"""Looked for beside the data, in this order."""

Color = tuple[int, int, int]

_COLOR_MAP_FORM = (
    'a CSV file with the columns name,r,g,b or JSON as {"road": [128, 64, 128]}'
)


def read_class_names(folder: pathlib.Path) -> tuple[str, ...] | dict[int, str]:
    """Returns the class names listed in a file beside the masks.

    Args:
        folder: Folder in which classes.json (a list, or an object of names by
            value) or labels.txt (a name a line) may lie.

    Returns:
        Names in the order of the classes; for an object with gaps between its
        values, names by value; () if there is no such file.

    Raises:
        DataError: The file cannot be understood.
    """
    for name in CLASS_LIST_FILES:
        path = folder / name
        if path.is_file():
            return _read_names(path)
    return ()


def read_color_map(path: pathlib.Path) -> dict[str, Color]:
    """Reads a color map: the color of each class in the masks.

    Args:
        path: CSV with the columns name, r, g, b, or JSON with a color by
            name.

    Returns:
        (red, green, blue), 0..255, by name, in the order of the file.

    Raises:
        DataError: The file cannot be read, names no color, or has a name or a
            color twice.
    """
    text = _read_text(path)
    is_json = path.suffix.lower() == ".json"
    rows = (
        _read_json_rows(text, path) if is_json else _read_csv_rows(text, path)
    )
    found: dict[str, Color] = {}
    seen: set[Color] = set()
    for name, color in rows:
        if name in found:
            raise errors.DataError(f"{path} names the class {name!r} twice.")
        if color in seen:
            raise errors.DataError(
                f"{path} gives the color {color} to two classes."
            )
        seen.add(color)
        found[name] = color
    if not found:
        raise errors.DataError(
            f"{path} names no color; it must be {_COLOR_MAP_FORM}."
        )
    class_names.check(found)
    _check_once([*found], path)
    return found


def _read_names(path: pathlib.Path) -> tuple[str, ...] | dict[int, str]:
    text = _read_text(path)
    by_value: dict[int, str] = {}
    if path.suffix == ".txt":
        names = [line.strip() for line in text.splitlines()]
        # Blank lines at the end of the file are no classes.
        while names and not names[-1]:
            names.pop()
    else:
        value = _parse_json(text, path)
        by_value = (
            _parse_names_by_value(value) if isinstance(value, dict) else {}
        )
        names = list(by_value.values()) or value
    if not isinstance(names, list) or not all(
        isinstance(each, str) for each in names
    ):
        raise errors.DataError(
            f"{path} must be a list of class names, or an object of names by "
            'value, such as {"0": "background", "255": "road"}.'
        )
    class_names.check(names)
    _check_once(names, path)
    # 0, 1, 2 … without gaps is a plain list.
    has_gaps = [*by_value] != [*range(len(by_value))]
    return by_value if by_value and has_gaps else tuple(names)


def _parse_names_by_value(value: dict) -> dict[int, str]:
    """Returns names sorted by value; empty if the keys are not values."""
    if not all(re.fullmatch("[0-9]{1,9}", key) for key in value):
        return {}
    found = {int(key): name for key, name in value.items()}
    # Two keys may be one value, such as "1" and "01".
    return dict(sorted(found.items())) if len(found) == len(value) else {}


def _check_once(names: Sequence[str], path: pathlib.Path) -> None:
    """Raises `DataError` if a class is named twice, also by equal numbers."""
    seen: dict[object, str] = {}
    # Among numbers "1" and "01" are one class; among words they are two.
    are_numbers = all(
        class_names.parse_number(name) is not None for name in names
    )
    for name in names:
        key = class_names.parse_number(name) if are_numbers else name
        if key in seen:
            also = "" if seen[key] == name else f" (also as {name!r})"
            raise errors.DataError(
                f"{path} names the class {seen[key]!r} twice{also}."
            )
        seen[key] = name


def _read_csv_rows(
    text: str, path: pathlib.Path
) -> Iterable[tuple[str, Color]]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [each for each in ("name", *"rgb") if each not in header]:
        raise errors.DataError(
            f"{path} has no column {missing[0]!r}; it must be "
            f"{_COLOR_MAP_FORM}."
        )
    reader.fieldnames = header
    for cells in reader:
        where = f"{path}, line {reader.line_num}"
        name = (cells["name"] or "").strip()
        yield name, _parse_color([cells[each] for each in "rgb"], where)


def _read_json_rows(
    text: str, path: pathlib.Path
) -> Iterable[tuple[str, Color]]:
    value = _parse_json(text, path)
    if not isinstance(value, dict):
        raise errors.DataError(f"{path} must be {_COLOR_MAP_FORM}.")
    for name, color in value.items():
        # Whatever stands there is shown in the message of `_parse_color`.
        parts = color if isinstance(color, list) else [color]
        yield name, _parse_color(parts, f"{path}, {name!r}")


def _parse_color(parts: list, where: str) -> Color:
    texts = [str(part).strip() for part in parts]
    is_good = len(texts) == 3 and all(
        re.fullmatch("[0-9]{1,3}", text) and int(text) <= 255 for text in texts
    )
    if not is_good:
        raise errors.DataError(
            f"{where}: a color is three whole numbers from 0 to 255 (red, "
            f"green, blue), got {', '.join(texts) or 'nothing'}."
        )
    red, green, blue = map(int, texts)
    return red, green, blue


def _parse_json(text: str, path: pathlib.Path) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise errors.DataError(f"{path} is not JSON: {error}.") from error


def _read_text(path: pathlib.Path) -> str:
    try:
        # Excel and Notepad begin UTF-8 files with a byte order mark.
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise errors.DataError(
            f"{path} cannot be read: {error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise errors.DataError(f"{path} is not UTF-8 text.") from error
