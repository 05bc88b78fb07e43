"""Files that are either whole or absent, never half written."""

import contextlib
import hashlib
import json
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that becomes `path` when the block succeeds.

    The temporary file lies beside `path` and keeps its suffixes (Keras insists
    on `.weights.h5`); it is flushed to disk and renamed, so that a reader sees
    the old file or the new one. It is removed when the block raises.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
