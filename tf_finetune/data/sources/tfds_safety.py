"""Safety check of a prepared data set's own files, before TFDS reads them.

TFDS imports the module of every class that features.json names, at any depth,
and opens every file of the folder. A data set can be made by anybody.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tf_finetune import errors, files, terminal_escapes

# Modules of TFDS' own features, its tests excepted.
_TFDS_CLASS = re.compile(
    r"tensorflow_datasets\.core\.features\.(?!\w*_test\.)\w+\.\w+"
)
_CLASS_KEYS = ("pythonClassName", "python_class_name")
# TFDS up to 4.2; a feature may be called so, too.
_OLD_CLASS_KEY = "type"
_COUNT_KEYS = ("numClasses", "num_classes")
# Bounds on counts and on texts that somebody else wrote.
_MAX_CLASSES = 10_000_000
_MAX_BYTES = 256 << 20
_COPY_ADVICE = "Copy the whole folder again, or prepare the data set anew."


def check_folder(prepared: pathlib.Path) -> None:
    """Checks that TFDS can read a data set's folder without harm.

    Args:
        prepared: The folder of one version of a data set.

    Raises:
        DataError: The folder holds something else than files, is damaged, or
            names Python classes that are not those of TFDS.
    """
    with _explain_errors(prepared):
        for path in sorted(prepared.iterdir()):
            # Shards may be links to a larger disk; texts are small.
            is_text = path.suffix in (".json", ".txt")
            if is_text:
                files.require_regular(path, limit=_MAX_BYTES, within=prepared)
            elif not path.is_dir():
                files.require_regular(path)
        for name in ("dataset_info.json", "features.json"):
            path = prepared / name
            content = files.read_json(path) if path.exists() else None
            for key, value in _list_entries(content):
                _check_entry(key, value, path)


def check_shards(prepared: pathlib.Path, shards: Iterable[str]) -> None:
    """Checks that all shards lie directly in the data set's folder.

    Args:
        prepared: The folder of one version of a data set.
        shards: Paths of its shards (record files).

    Raises:
        DataError: A shard lies elsewhere.
    """
    folder = os.path.abspath(prepared)
    for shard in shards:
        if os.path.dirname(os.path.abspath(shard)) != folder:
            raise errors.DataError(
                f"{prepared} names a shard that does not lie in it, "
                f"{terminal_escapes.quote(str(shard))}. {_COPY_ADVICE}"
            )


def _check_entry(key: str, value: Any, path: pathlib.Path) -> None:
    # A feature may be called "type"; a dotted value is a class.
    is_class = key in _CLASS_KEYS or (
        key == _OLD_CLASS_KEY and isinstance(value, str) and "." in value
    )
    if is_class and not (
        isinstance(value, str) and _TFDS_CLASS.fullmatch(value)
    ):
        shown = terminal_escapes.escape(repr(value))[:100]
        raise errors.DataError(
            f"{path} names the class {shown}, which is not one of TFDS. Code "
            "is not imported because a file names it. Prepare the data set "
            "with the features of TFDS, or save its pictures as a folder."
        )
    if key in _COUNT_KEYS and not _is_count(value):
        shown = terminal_escapes.escape(repr(value))[:100]
        raise errors.DataError(
            f"{path} gives the number of classes as {shown}; it must be a "
            f"whole number up to {_MAX_CLASSES:,}. {_COPY_ADVICE}"
        )


def _is_count(value: Any) -> bool:
    # Protocol buffers write int64 to JSON as text.
    text = str(value)
    is_number = re.fullmatch(r"[0-9]{1,9}", text) is not None
    return value is None or (is_number and int(text) <= _MAX_CLASSES)


def _list_entries(content: Any) -> Iterator[tuple[str, Any]]:
    """Yields every name and value of a JSON file, at any depth."""
    waiting = [content]
    # A list of work in place of recursion: files may nest deeply.
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


@contextlib.contextmanager
def _explain_errors(prepared: pathlib.Path) -> Iterator[None]:
    """Turns errors of reading a data set into one-sentence `DataError`s."""
    try:
        yield
    except errors.DataError:
        raise
    except files.UnfitFileError as error:
        raise errors.DataError(f"{error} {_COPY_ADVICE}") from error
    except (OSError, ValueError) as error:
        raise errors.DataError(
            f"{prepared} is not a data set that this TFDS can read: "
            f"{terminal_escapes.escape(str(error))}. {_COPY_ADVICE}"
        ) from error
