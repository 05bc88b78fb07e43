"""Inspection of every file by its header: kind, size and content hash.

No pixel is decoded here; `verification` does that with the decoder of
training.
"""

import concurrent.futures
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

from tf_finetune import files
from tf_finetune.data import examples as records
from tf_finetune.data import file_stamps, progress
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


def inspect_files(
    examples: Sequence[records.Example], *, max_pixels: int
) -> tuple[tuple[records.Picture, ...], tuple[records.DroppedFile, ...]]:
    """Inspects examples by their headers and drops files that are not pictures.

    Args:
        examples: What a source listed.
        max_pixels: Pictures of more pixels (width * height) are dropped.

    Returns:
        The pictures, and the files that are none with the reason, both in the
        order of `examples`; together as many as `examples`.
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
        stamp = file_stamps.read_stamp(
            example.path
        )  # Before its bytes are read.
        with open(example.path, "rb") as file:
            kind = file_kinds.detect_kind(file.read(file_kinds.HEAD_BYTES))
            if reason := _explain_undecodable(kind):
                return records.DroppedFile(path=example.path, reason=reason)
            width, height = read_header_size(file, kind)
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
    except DamagedHeaderError as error:
        reason = str(error)
    return records.DroppedFile(path=example.path, reason=reason)


class DamagedHeaderError(Exception):
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


def read_header_size(file: BinaryIO, kind: str) -> tuple[int, int]:
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
        raise DamagedHeaderError(
            f"a damaged {kind}, or one of a rare kind: its header cannot be "
            "read"
        ) from error


def _explain_wrong_size(width: int, height: int, max_pixels: int) -> str | None:
    if width < 1 or height < 1:
        return f"a picture without pixels: {width} x {height}"
    if width * height > max_pixels:
        return f"larger than --max_pixels={max_pixels}: {width} x {height}"
    return None
