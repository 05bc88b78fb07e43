"""Exports without their final names: temporary files, folders and their lock.

An export is written under a temporary name, checked, and renamed at the end of
a block; if the block raises, an earlier export of that name stays.
"""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tf_finetune import errors, files
from tf_finetune.exports import export_files
from tf_finetune.exports.parity import (
    parity_check,
)

ANY_VERSION = "VERSION"
"""Placeholder for the name of any version, a number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PendingFile:
    """File of an export before it has its final name.

    Attributes:
        path: Its final path.
        temporary: The path that it is written to.
    """

    path: pathlib.Path
    temporary: pathlib.Path

    def record_figures(self, figures: Mapping[str, Any]) -> None:
        """Writes the figures of the parity check and the file's hash.

        They go into `parity.json` beside `path`, the hash of `temporary` under
        `sha256`. The file gets its final name at the end of the block of
        `open_file`.

        Args:
            figures: JSON-able figures by name.
        """
        # Before the rename: a file under its final name always has its figures.
        # Should this be killed here, with an earlier file still in place, the
        # checksum shows that the figures are not that file's.
        parity_check.write_figures(
            self.path, {**figures, "sha256": files.sha256(self.temporary)}
        )


@contextlib.contextmanager
def lock_folder(
    folder: pathlib.Path, *, names: Iterable[str]
) -> Iterator[None]:
    """Locks a folder of exports for one process while a block lasts.

    Creates the folder if needed and removes temporary files of an export that
    was killed.

    Args:
        folder: Destination of the export.
        names: Names of the export and of the files beside it, whose temporary
            files an earlier attempt may have left; `ANY_VERSION` stands for all
            versions.

    Raises:
        UsageError: The folder cannot be created, or another process exports
            into it.
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
    """Yields a temporary folder that becomes the next version of `folder`.

    Versions are integers, as TensorFlow Serving reads them: one more than
    the greatest there is. The block creates and fills the temporary folder; it
    is flushed to disk and renamed when the block succeeds, and removed when it
    raises.

    Args:
        folder: The existing folder of versions.

    Yields:
        Path of the temporary folder, and the version as a string.
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


@contextlib.contextmanager
def open_file(path: pathlib.Path) -> Iterator[PendingFile]:
    """Opens a block that writes and checks a file, then publishes it.

    The block writes to the temporary path, which gets its final name if the
    block succeeds. If it raises, the temporary file is removed and an earlier
    file of that name stays.

    Args:
        path: Final path of the file; its folder is created and locked.

    Yields:
        The file with its final path and the temporary one to write to.

    Raises:
        UsageError: The folder cannot be created, or another process exports
            into it.
    """
    with (
        lock_folder(path.parent, names=(path.name, export_files.PARITY)),
        files.replacing(path) as temporary,
    ):
        yield PendingFile(path=path, temporary=temporary)
