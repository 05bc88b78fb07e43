"""Writes files atomically; reads files within limits."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import secrets
import stat
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

# Errors of fsync on a folder: some shared file systems do not have it, and
# some folders may be written but not read.
_NO_FLUSH_OF_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
# data.json of a million pictures has a tenth of both.
_JSON_BYTES = 1 << 30
_JSON_VALUES = 10_000_000

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnfitFileError(OSError):
    """A path is not a regular file that may be read; its text is a sentence."""


@contextlib.contextmanager
def open_regular(
    path: pathlib.Path,
    *,
    within: pathlib.Path | None = None,
    limit: int | None = None,
) -> Iterator[BinaryIO]:
    """Opens a regular file for reading bytes, and refuses pipes and devices.

    Every file of a workdir, cache or data set is opened here, since somebody
    else may have put it there: a pipe would be waited for, a device read
    without end, and a link may lead out of the folder.

    Args:
        path: The file.
        within: The folder that it must lie in, links followed; None: any.
        limit: Largest allowed size in bytes; None: any.

    Raises:
        UnfitFileError: It is no regular file, is too large or lies outside
            of `within`; the message is a sentence.
        OSError: It is not there, or cannot be opened.
    """
    path = pathlib.Path(path)
    try:
        # Without O_NONBLOCK a pipe waits for somebody to write into it.
        handle = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        )
    except OSError as error:
        if error.errno == errno.ENXIO:  # A socket cannot be opened at all.
            raise UnfitFileError(f"{path} is not a regular file.") from error
        raise
    try:
        status = os.fstat(handle)
        if kind := [w for is_it, w in _KINDS if is_it(status.st_mode)]:
            raise UnfitFileError(f"{path} is not a regular file but {kind[0]}.")
    except OSError:  # `UnfitFileError` is one, too.
        os.close(handle)
        raise
    with open(handle, "rb") as file:
        if within is not None:
            _require_inside(path, within)
        if limit is not None and status.st_size > limit:
            raise UnfitFileError(
                f"{path} has {status.st_size:,} bytes; more than {limit:,} are "
                "not read."
            )
        yield file


def require_regular(
    path: pathlib.Path,
    *,
    within: pathlib.Path | None = None,
    limit: int | None = None,
) -> None:
    """Raises `OSError` unless a path is a regular file that can be opened.

    Arguments and errors are those of `open_regular`; nothing is read.
    """
    with open_regular(path, within=within, limit=limit):
        pass


def open_lock(path: pathlib.Path) -> BinaryIO:
    """Opens a file for `flock` and creates it if needed; its content is kept.

    Links are not followed; the caller closes the file.

    Raises:
        OSError: It is a link or no regular file, or cannot be made.
    """
    handle = os.open(
        path,
        os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
        0o666,
    )
    # Asked of the open file: the path may lead elsewhere a moment later.
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnfitFileError(f"{path} is not a regular file; remove it.")
    return open(handle, "r+b")


def _require_inside(path: pathlib.Path, folder: pathlib.Path) -> None:
    real = os.path.realpath(path)
    if not pathlib.PurePath(real).is_relative_to(os.path.realpath(folder)):
        raise UnfitFileError(
            f"{path} is a link to a file outside of {folder}; copy the file "
            "itself there."
        )


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that becomes `path` when the block succeeds.

    The temporary file lies beside `path` and keeps its suffixes (Keras insists
    on `.weights.h5`). It is flushed to disk, renamed, and its folder flushed:
    readers and a power cut find the old file or the new one. When the block
    raises, `path` stays as it was. Missing parent folders are made.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of several processes that write the same path each has its own.
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: pathlib.Path) -> None:
    """Flushes a file's content, or a folder's entries, to the disk (fsync)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(folder: pathlib.Path) -> None:
    """Flushes a folder's entries to the disk, where its file system can."""
    try:
        flush(folder)
    except OSError as error:
        if error.errno not in _NO_FLUSH_OF_FOLDERS:
            raise


def find_write_problem(
    path: pathlib.Path, kind: Literal["file", "folder"] | None = None
) -> str | None:
    """Returns why a path cannot be written ("Permission denied"); None: it can.

    A temporary file is made, and removed, in the nearest folder that exists.

    Args:
        path: A file or a folder, which need not exist.
        kind: What it must be if it exists; None: either.
    """
    path = pathlib.Path(path).absolute()
    longest = max(len(os.fsencode(part)) for part in path.parts)
    # Of 255 bytes, `replacing` puts some in front of the name of a file.
    if longest > (255 if kind == "folder" else 240):
        return f"a name of {longest} bytes is too long"
    if "\0" in str(path):
        return "it holds a null byte"
    if kind and os.path.lexists(path) and (kind == "folder") != path.is_dir():
        return f"it is {'a file' if kind == 'folder' else 'a folder'}"
    folder = path if path.is_dir() else path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        handle, name = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    except OSError as error:
        return error.strerror
    os.close(handle)
    os.unlink(name)
    return None


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes `text` as UTF-8 to `path`, atomically; see `replacing`.

    Surrogates that `read_text` made become the bytes that they stand for.
    """
    # File names may hold bytes that are not UTF-8; they must survive.
    data = text.encode("utf-8", errors="surrogateescape")
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, atomically; see `replacing`.

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


def read_bytes(
    path: pathlib.Path, *, limit: int, within: pathlib.Path | None = None
) -> bytes:
    """Returns the content of a regular file of at most `limit` bytes.

    Raises:
        UnfitFileError: It is larger or unfit; see `open_regular`.
        OSError: It cannot be read.
    """
    with open_regular(path, within=within, limit=limit) as file:
        # It may grow while it is read: one byte more tells that it has.
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UnfitFileError(
            f"{path} has more than {limit:,} bytes, which are not read."
        )
    return content


def read_text(
    path: pathlib.Path, *, limit: int, within: pathlib.Path | None = None
) -> str:
    """Returns a file decoded as UTF-8; invalid bytes become surrogates.

    Arguments and errors are those of `read_bytes`.
    """
    content = read_bytes(path, limit=limit, within=within)
    return content.decode("utf-8", errors="surrogateescape")


def read_json(
    path: pathlib.Path,
    *,
    limit: int = _JSON_BYTES,
    within: pathlib.Path | None = None,
) -> Any:
    """Returns the parsed content of a JSON file of at most `limit` bytes.

    Raises:
        ValueError: It is not JSON, or has more values or deeper nesting than
            any file of this package.
        OSError: It cannot be read, or is unfit; see `open_regular`.
    """
    content = read_bytes(path, limit=limit, within=within)
    # Counted before parsing, which takes many times the file's size in memory.
    values = sum(content.count(sign) for sign in (b",", b"[", b"{"))
    if values > _JSON_VALUES:
        raise ValueError(
            f"it holds {values:,} values; more than {_JSON_VALUES:,} are not "
            "read"
        )
    try:
        return json.loads(content.decode("utf-8", errors="surrogateescape"))
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error


def sha256(path: pathlib.Path, *, limit: int | None = None) -> str:
    """Returns the hexadecimal SHA-256 of a regular file's bytes.

    Arguments and errors are those of `open_regular`.
    """
    with open_regular(path, limit=limit) as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):  # A megabyte at a time.
            digest.update(block)
    return digest.hexdigest()
