"""Inspection of every file by its header: kind, size and content hash.

No pixel is decoded here; `verification` does that with the decoder of
training. A run's statements about a picture hold for the bytes that were
inspected: their hash decides the split and is the key of cached features. Files
are read again during training, so `verify_unchanged` compares them afterwards.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import stat
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from tf_finetune import errors, files
from tf_finetune.data import examples, progress
from tf_finetune.data import examples as records
from tf_finetune.data.images import file_kinds

_BLOCK_SIZE = 1024

# Opened by these and not by `Image.open`, whose bound against decompression
# bombs is fixed; the bound here is `max_pixels`.
_READERS = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}

_MAX_SHOWN = 5


def inspect_files(
    examples: Sequence[records.Example], *, max_pixels: int
) -> tuple[tuple[records.Picture, ...], tuple[records.DroppedFile, ...]]:
    """Reads the headers of picture files and drops files that are not pictures.

    Args:
        examples: The files, as a data source listed them.
        max_pixels: Pictures of more pixels (width * height) are dropped.

    Returns:
        The pictures with their sizes and hashes, and the dropped files with
        the reasons, both in the order of `examples`; together as many.
    """
    found = tuple(
        progress.track(
            _probe_all(examples, max_pixels),
            total=len(examples),
            title="Scanning pictures",
        )
    )
    return (
        tuple(each for each in found if isinstance(each, records.Picture)),
        tuple(each for each in found if isinstance(each, records.DroppedFile)),
    )


def _probe_all(
    examples: Sequence[records.Example], max_pixels: int
) -> Iterator[records.Picture | records.DroppedFile]:
    # Reading waits for the disk more than for the processor.
    workers = min(16, 4 * (os.cpu_count() or 1))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        # In blocks, because `map` makes a task of every item at once.
        for start in range(0, len(examples), _BLOCK_SIZE):
            block = examples[start : start + _BLOCK_SIZE]
            yield from pool.map(lambda e: _probe_file(e, max_pixels), block)


def _probe_file(
    example: records.Example, max_pixels: int
) -> records.Picture | records.DroppedFile:
    """Inspects one file: its header decides, its bytes give the hash."""
    try:
        if reason := _explain_unusual_file(example.path):
            return records.DroppedFile(path=example.path, reason=reason)
        stamp = _read_stamp(example.path)  # Before its bytes are read.
        with open(example.path, "rb") as file:
            kind = file_kinds.detect_kind(file.read(file_kinds.HEAD_BYTES))
            if reason := _explain_undecodable(kind):
                return records.DroppedFile(path=example.path, reason=reason)
            width, height = _read_header_size(file, kind)
        if reason := _explain_wrong_size(width, height, max_pixels):
            return records.DroppedFile(path=example.path, reason=reason)
        return records.Picture(
            path=example.path,
            label=example.label,
            sha256=files.sha256(pathlib.Path(example.path)),
            width=width,
            height=height,
            split=example.split,
            group=example.group,
            stamp=stamp,
        )
    except Image.DecompressionBombError:  # From the WebP reader.
        reason = "more pixels than Pillow reads"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    except _DamagedHeaderError as error:
        reason = str(error)
    return records.DroppedFile(path=example.path, reason=reason)


class _DamagedHeaderError(Exception):
    """A header that cannot be parsed."""


def _explain_unusual_file(path: str) -> str | None:
    """Describes a path that is not a regular file with content."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        return "a folder, not a file"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return "an empty file" if status.st_size == 0 else None


def _explain_undecodable(kind: str) -> str | None:
    if kind in file_kinds.DECODABLE:
        return None
    possible = ", ".join(file_kinds.DECODABLE)
    named = file_kinds.describe_kind(kind)
    return f"not an image that can be used: it is {named}; possible: {possible}"


def _read_header_size(file: BinaryIO, kind: str) -> tuple[int, int]:
    """Returns (width, height) in pixels from the header.

    Args:
        file: The encoded picture.
        kind: One of `file_kinds.DECODABLE`.

    Raises:
        Damaged: The header cannot be understood.
        DecompressionBombError: A WebP of more pixels than Pillow reads.
    """
    file.seek(0)
    try:
        return _READERS[kind](file).size
    except Image.DecompressionBombError:
        raise
    except Exception as error:  # Pillow raises whatever its parsers meet.
        raise _DamagedHeaderError(
            f"a damaged {kind}, or one of a rare kind: its header cannot be "
            "read"
        ) from error


def _read_stamp(path: str) -> int:
    """Returns a number that changes when the file at `path` is written.

    Raises:
        OSError: It is not there.
    """
    status = os.stat(path)
    # Size and modification time alone can be restored (`touch -r`); the time of
    # the inode's last change cannot, and a renamed file brings its own inode.
    return hash(
        (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    )


def check_unchanged(pictures: Sequence[examples.Picture]) -> None:
    """Checks that picture files still have the contents that were inspected.

    Raises:
        RunError: Some have changed or vanished; the message names them.
    """
    found = [
        f"{picture.path} {what}"
        for picture in pictures
        if (what := _describe_change(picture))
    ]
    if not found:
        return
    more = [f"and {len(found) - _MAX_SHOWN} more"] if found[_MAX_SHOWN:] else []
    raise errors.RunError(
        f"{len(found)} pictures changed after this run inspected them: "
        f"{'; '.join([*found[:_MAX_SHOWN], *more])}. The trained weights are "
        "not saved. Do not modify the pictures during a run, and start it "
        "again with --overwrite."
    )


@contextlib.contextmanager
def verify_unchanged(pictures: Sequence[examples.Picture]) -> Iterator[None]:
    """Checks after the block, also if it fails, that no picture has changed.

    A picture that changed or vanished may be the cause of the failure.

    Raises:
        RunError: Some have changed or vanished; it replaces an error of the
            block, which becomes its cause.
    """
    try:
        yield
    except Exception as error:
        try:
            check_unchanged(pictures)
        except errors.RunError as why:
            raise why from error
        raise
    check_unchanged(pictures)


def _explain_wrong_size(width: int, height: int, max_pixels: int) -> str | None:
    if width < 1 or height < 1:
        return f"a picture without pixels: {width} x {height}"
    if width * height > max_pixels:
        return f"larger than --max_pixels={max_pixels}: {width} x {height}"
    return None


def _describe_change(picture: examples.Picture) -> str | None:
    """Returns how a picture has changed; None if its content is the same."""
    if picture.stamp is None:
        return None
    try:
        # Renaming and permissions change a stamp too, so that only the hash
        # decides; it is computed for few files.
        if _read_stamp(picture.path) == picture.stamp:
            return None
        same = files.sha256(pathlib.Path(picture.path)) == picture.sha256
    except FileNotFoundError:
        return "no longer exists"
    except OSError as error:
        reason = error.strerror or str(error).removesuffix(".")
        return f"can no longer be read: {reason}"
    return None if same else "has different contents"
