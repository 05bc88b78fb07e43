"""A checksummed file of arrays and a JSON note."""

import dataclasses
import hashlib
import io
import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from tf_finetune import errors, files

_DIGEST_LENGTH = 64  # A SHA-256 in hexadecimal digits.
_BLOCK_BYTES = 1 << 20


class DamagedError(ValueError):
    """Error of a state file that is truncated, changed, or of another kind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Content:
    """Content of a state file: a JSON note and arrays.

    Attributes:
        note: Dict of plain JSON values.
        arrays: Arrays in the order in which they were written.
    """

    note: dict[str, Any]
    arrays: list[np.ndarray]


def write(
    path: pathlib.Path, note: Mapping[str, Any], arrays: Sequence[np.ndarray]
) -> None:
    """Writes a note and arrays to a file with a checksum, atomically.

    The file begins with the SHA-256 of the rest: note and arrays, each in
    NumPy's own format.

    Args:
        path: The file; an older one is replaced.
        note: Dict of plain JSON values; the key "arrays" is reserved.
        arrays: Arrays of numbers.

    Raises:
        RunError: The file cannot be written, as on a full disk; an older file
            stays unchanged.
    """
    text = json.dumps({**note, "arrays": len(arrays)}).encode()
    try:
        with (
            files.replacing(path) as temporary,
            open(temporary, "wb") as file,
        ):
            # The digest is known last and stands first.
            file.write(b" " * _DIGEST_LENGTH)
            hashing = _HashingFile(file)
            for each in (np.frombuffer(text, "uint8"), *arrays):
                np.lib.format.write_array(hashing, each, allow_pickle=False)
            file.seek(0)
            file.write(hashing.hexdigest().encode())
    except OSError as error:
        raise errors.RunError(
            f"The checkpoint {path} cannot be written: "
            f"{error.strerror or error}. Earlier ones are intact: free disk "
            "space, and the same command resumes from the latest of them."
        ) from error


def read(
    path: pathlib.Path,
    *,
    limit: int | None = None,
    within: pathlib.Path | None = None,
) -> Content:
    """Reads note and arrays of a state file of any origin; unpickles nothing.

    Args:
        path: The file.
        limit: Largest size in bytes; None: no limit.
        within: Folder that it must lie in, links resolved; None: any.

    Raises:
        DamagedError: It is truncated, changed, or of another kind.
        OSError: It does not exist, cannot be read, exceeds `limit` or lies
            outside `within`.
    """
    with files.open_regular(path, limit=limit, within=within) as file:
        wanted = file.read(_DIGEST_LENGTH)
        digest = hashlib.sha256()
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
        if digest.hexdigest().encode() != wanted:
            raise DamagedError("its checksum does not match its content")
        # Parsed only when the checksum fits: most damage ends above.
        file.seek(_DIGEST_LENGTH)
        try:
            note = json.loads(_read_array(file).tobytes())
            arrays = [_read_array(file) for _ in range(note.pop("arrays"))]
        except (ValueError, LookupError, TypeError, AttributeError,
                EOFError, MemoryError, RecursionError) as error:  # fmt: skip
            raise DamagedError(f"it holds something else: {error}") from error
    return Content(note=note, arrays=arrays)


def _read_array(file: BinaryIO) -> np.ndarray:
    """Reads an array of numbers, no larger than the rest of the file."""
    start = file.tell()
    if np.lib.format.read_magic(file) != (1, 0):
        raise DamagedError("it holds an array of another version of NumPy")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    left = os.fstat(file.fileno()).st_size - file.tell()
    # No objects (kind "O"), which would be unpickled.
    if dtype.kind not in "biufc" or math.prod(shape) * dtype.itemsize > left:
        raise DamagedError("it declares an array that it does not hold")
    file.seek(start)
    return np.lib.format.read_array(file, allow_pickle=False)


class _HashingFile(io.RawIOBase):
    """File object that hashes all bytes it passes on.

    NumPy writes to a real file by itself (`tofile`), and then loses the reason
    when the disk is full.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def hexdigest(self) -> str:
        """Returns the SHA-256 of all that was written."""
        return self._digest.hexdigest()
