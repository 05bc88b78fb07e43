"""Atomic writing of version folders, and the lock on a folder of exports."""

import contextlib
import fcntl
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator

from tf_finetune import errors, files

ANY_VERSION = "VERSION"
"""Placeholder for the name of any version, a number."""


@contextlib.contextmanager
def lock_folder(
    folder: pathlib.Path, *, names: Iterable[str]
) -> Iterator[None]:
    """Locks a folder of exports, created if needed, for one process.

    Leftovers of an export that was killed are removed.

    Args:
        folder: Destination of the export.
        names: Names of the export and of the files beside it, whose temporary
            files an earlier attempt may have left; `ANY_VERSION` stands for all
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
    # flock(2) on the folder itself, because a lock file would lie among the
    # exports. The kernel releases it when the process ends, however it ends.
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock_handle(handle, folder)
        _remove_leftovers(folder, names)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def next_version(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Yields a temporary folder, renamed to the next version of `folder`.

    Versions are integers, as TensorFlow Serving reads them: one more than
    the greatest there is. The temporary folder is flushed to disk and renamed
    when the block succeeds and removed when it raises.

    Yields:
        The temporary folder and the version's name.
    """
    version = str(_find_greatest_version(folder) + 1)
    temporary = folder / f".tmp-{secrets.token_hex(4)}-{version}"
    try:
        yield temporary, version
        # Contents before the name: after a power cut a version that has its
        # name must be whole.
        _flush_folder(temporary)
        os.rename(temporary, folder / version)
        files.flush_folder(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _find_greatest_version(folder: pathlib.Path) -> int:
    names = (path.name for path in folder.iterdir())
    # isascii: isdigit alone accepts digits of other scripts.
    numbers = (int(n) for n in names if n.isascii() and n.isdigit())
    return max(numbers, default=0)


def _lock_handle(handle: int, folder: pathlib.Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise errors.UsageError(
            f"Another process exports into {folder}; wait for it or choose "
            "another --output."
        ) from error


def _remove_leftovers(folder: pathlib.Path, names: Iterable[str]) -> None:
    patterns = (
        r"\d+" if name == ANY_VERSION else re.escape(name) for name in names
    )
    pattern = re.compile(rf"\.tmp-[0-9a-f]{{8}}-({'|'.join(patterns)})")
    # Only names that an export itself would have given, never other files.
    for path in folder.iterdir():
        if not pattern.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _flush_folder(folder: pathlib.Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        (files.flush_folder if path.is_dir() else files.flush)(path)
