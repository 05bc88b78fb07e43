"""Files for pictures that come from arrays or data sets, written once."""

import dataclasses
import hashlib
import os
import pathlib
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors, files
from tf_finetune.data import examples
from tf_finetune.data.images import file_kinds

_SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "GIF": ".gif",
    "BMP": ".bmp",
    "WebP": ".webp",
}
# As `store_picture` names files.
_FILE_NAME = re.compile(r"[0-9a-f]{64}\.[a-z]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedPicture:
    """A labeled picture in memory that is not a file yet.

    Attributes:
        content: The bytes of an encoded picture (JPEG, PNG, GIF, BMP, WebP).
        label: Name of its class; None: unknown, the picture is dropped.
        split: One of `examples.SPLITS`, or None.
    """

    content: bytes
    label: str | None
    split: str | None = None


def list_pictures(
    folder: pathlib.Path,
    produce: Callable[[], Iterable[EncodedPicture]],
    *,
    class_names: Sequence[str],
) -> examples.Listing:
    """Lists pictures as files, which are written first if they are missing.

    Files are named by their content, so that writing again is harmless. An
    index, written last, spares later runs the call of `produce`.

    Args:
        folder: Where the files and index.json go. Its name stands for the
            contents: other contents need another folder.
        produce: Yields the pictures; called only if files are missing.
        class_names: Every class, also those without pictures.

    Returns:
        The examples; pictures without a label and classes without pictures are
        dropped files.

    Raises:
        RunError: The folder cannot be written.
    """
    rows = load_rows(
        folder,
        lambda: (
            [store_picture(folder, each.content), each.label, each.split]
            for each in produce()
        ),
        pictures=1,
    )
    return _make_listing(folder, rows, tuple(class_names))


def load_rows(
    folder: pathlib.Path,
    produce: Callable[[], Iterable[list]],
    *,
    pictures: int,
) -> list:
    """Returns the rows of a folder's index, which is written if it is missing.

    An index that is damaged, or whose pictures are not all there, is written
    again.

    Args:
        folder: The folder of the pictures and their index.json.
        produce: Stores the pictures and yields the rows: lists of three cells,
            (picture, label, split) or (picture, mask, split).
        pictures: Number of leading cells that are file names in the folder, 1
            or 2; the other cells are texts or None.

    Returns:
        The rows, as `produce` yields them.

    Raises:
        RunError: The folder cannot be written.
    """
    try:
        rows = _read_index(folder, pictures=pictures)
        if rows is None:
            rows = list(produce())
            # Last: an index stands for pictures that are all there.
            files.write_json(folder / "index.json", rows)
    except OSError as error:
        raise errors.RunError(
            f"Pictures cannot be written to {folder}: {error.strerror}. "
            "--cache_dir names another place."
        ) from error
    return rows


def _make_listing(
    folder: pathlib.Path, rows: list, class_names: tuple[str, ...]
) -> examples.Listing:
    """Turns the rows of an index, (name, label, split), into a listing."""
    found = tuple(
        examples.Example(path=str(folder / name), label=label, split=split)
        for name, label, split in rows
        if label is not None
    )
    unlabeled = tuple(
        examples.DroppedFile(path=str(folder / name), reason="without a label")
        for name, label, _ in rows
        if label is None
    )
    present = {example.label for example in found}
    empty = tuple(
        examples.DroppedFile(path=name, reason="a class without pictures")
        for name in class_names
        if name not in present
    )
    return examples.Listing(
        examples=found, dropped=unlabeled + empty, class_names=class_names
    )


def _read_index(folder: pathlib.Path, *, pictures: int) -> list | None:
    """Returns the rows of an index whose files are all there, else None."""
    index = folder / "index.json"
    if not os.path.lexists(index):
        return None
    try:
        rows = files.read_json(index, within=folder)
        is_list = isinstance(rows, list)
        if not (is_list and all(_is_row(row, pictures) for row in rows)):
            raise ValueError("it does not list pictures")
    except (OSError, ValueError) as error:
        logging.warning(
            "%s is damaged or was not written by this package (%s); its "
            "pictures are written again.",
            index,
            error,
        )
        return None
    names = {name for row in rows for name in row[:pictures]}
    return rows if all(_is_whole(folder / name) for name in names) else None


def _is_row(row: Any, pictures: int) -> bool:
    if not (isinstance(row, list) and len(row) == 3):
        return False
    return all(
        isinstance(name, str) and _FILE_NAME.fullmatch(name)
        for name in row[:pictures]
    ) and all(isinstance(each, (str, type(None))) for each in row[pictures:])


def _is_whole(path: pathlib.Path) -> bool:
    """Tells if a regular file, no link, exists and is not empty."""
    try:
        # Not followed: a link in a shared cache may point anywhere.
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def store_picture(folder: pathlib.Path, content: bytes) -> str:
    """Writes a picture as a file named by the hash of its bytes.

    Args:
        folder: Where it goes; it is made if it is missing.
        content: The bytes of an encoded picture, written as they are.

    Returns:
        The file's name in the folder: SHA-256 and suffix. A file that is there
        already is not written again.

    Raises:
        OSError: The file cannot be written.
    """
    kind = file_kinds.detect_kind(content[: file_kinds.HEAD_BYTES])
    # Equal pictures are one file, whoever writes it.
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{digest}{_SUFFIXES.get(kind, '.bin')}"
    if not _is_whole(path):
        with files.replacing(path) as temporary:
            temporary.write_bytes(content)
    return path.name
