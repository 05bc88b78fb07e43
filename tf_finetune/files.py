"""Files that are either whole or absent, never half written."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import Any

# What shared file systems without this, and folders that may be written but
# not read, answer.
_NO_FLUSH_OF_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that becomes `path` when the block succeeds.

    The temporary file lies beside `path` and keeps its suffixes (Keras insists
    on `.weights.h5`); it is flushed to disk and renamed, so that a reader sees
    the old file or the new one, and then its folder is flushed, so that a
    power cut cannot take the name back. It is removed when the block raises.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush_names(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: pathlib.Path) -> None:
    """Returns when a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_names(folder: pathlib.Path) -> None:
    """Returns when a folder's names are on the disk, if its disk can tell."""
    try:
        flush(folder)
    except OSError as error:
        if error.errno not in _NO_FLUSH_OF_FOLDERS:
            raise


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes `text` as UTF-8 to `path`, atomically."""
    # File names may hold bytes that are no UTF-8; they must survive.
    data = text.encode("utf-8", errors="surrogateescape")
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, atomically.

    Raises:
        ValueError: A number in it is NaN or infinite, which JSON cannot hold.
    """
    with (
        replacing(path) as temporary,
        # As in `write_text`; piece by piece, since the whole may be large.
        open(
            temporary,
            "w",
            encoding="utf-8",
            errors="surrogateescape",
            newline="\n",
        ) as file,
    ):
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: pathlib.Path) -> Any:
    """Returns the parsed JSON file `path`."""
    text = pathlib.Path(path).read_text("utf-8", errors="surrogateescape")
    return json.loads(text)


def sha256(path: pathlib.Path) -> str:
    """Returns the hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
