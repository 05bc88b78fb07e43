"""Folders that are either whole or absent, and their version numbers."""

import contextlib
import fcntl
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator

from tf_finetune import errors, files

VERSION = "VERSION"
"""Stands for the name of any version, a number."""


@contextlib.contextmanager
def locked(folder: pathlib.Path, *, names: Iterable[str]) -> Iterator[None]:
    """Holds a folder of exports, created if needed, for one process.

    What an export that was killed left in it is removed.

    Args:
        folder: Where something is going to be written.
        names: What it and the files beside it can be called, and so what may
            be left of an earlier attempt at them; `VERSION` stands for all
            versions.

    Raises:
        UsageError: It cannot be written, or another process exports into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.UsageError(
            f"--output={folder} cannot be written: {error.strerror}."
        ) from error
    # The folder itself is locked: a lock file would lie among the exports.
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        _remove_leftovers(folder, names)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def new_version(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Yields a temporary folder that becomes the next version of `folder`.

    Versions are integers, as TensorFlow Serving reads them: one more than
    the greatest there is. The temporary folder is flushed to disk and renamed
    when the block succeeds and removed when it raises.

    Yields:
        The temporary folder and the version's name.
    """
    version = str(_greatest_version(folder) + 1)
    temporary = folder / f".tmp-{secrets.token_hex(4)}-{version}"
    try:
        yield temporary, version
        _flush(temporary)
        os.rename(temporary, folder / version)
        files.flush_names(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _greatest_version(folder: pathlib.Path) -> int:
    names = (path.name for path in folder.iterdir())
    numbers = (int(n) for n in names if n.isascii() and n.isdigit())
    return max(numbers, default=0)


def _lock(handle: int, folder: pathlib.Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise errors.UsageError(
            f"Another process exports into {folder}; wait for it or choose "
            "another --output."
        ) from error


def _remove_leftovers(folder: pathlib.Path, names: Iterable[str]) -> None:
    patterns = (
        r"\d+" if name == VERSION else re.escape(name) for name in names
    )
    pattern = re.compile(rf"\.tmp-[0-9a-f]{{8}}-({'|'.join(patterns)})")
    for path in folder.iterdir():
        if not pattern.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _flush(folder: pathlib.Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        (files.flush_names if path.is_dir() else files.flush)(path)
