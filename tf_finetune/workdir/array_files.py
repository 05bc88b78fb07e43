"""Reads arrays of a run from .npz files without trusting them.

`numpy.load` reserves what a header claims and unpacks what an archive claims;
here both are compared with the bytes of the file before anything is read.
"""

import math
import pathlib
import zipfile
import zlib
from typing import BinaryIO

import numpy as np

from tf_finetune import errors, files, terminal_escapes

_BYTES = 8 << 30  # Largest file that is opened.
_MEMBERS = 1000  # Most arrays in one file.
_HINT = "Copy the folder again, or train again."


def read_arrays(
    path: pathlib.Path, *, within: pathlib.Path
) -> dict[str, np.ndarray]:
    """Returns the arrays of numbers in a file of `numpy.savez`, by name.

    Args:
        path: The file.
        within: The folder that it must lie in, links followed.

    Returns:
        Arrays of floats, integers or booleans, of any shape.

    Raises:
        RunError: It is missing, not such a file, damaged, or holds objects.
    """
    name = terminal_escapes.escape(str(path))
    try:
        with files.open_regular(path, within=within, limit=_BYTES) as file:
            size = file.seek(0, 2)
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_members(members, size)
                return {
                    each.filename.removesuffix(".npy"): _read_array(
                        archive, each
                    )
                    for each in members
                }
    except OSError as error:
        reason = terminal_escapes.escape(error.strerror or str(error))
        raise errors.RunError(
            f"{name} cannot be read: {reason}. {_HINT}"
        ) from error
    except (
        ValueError,
        EOFError,
        RuntimeError,
        NotImplementedError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = terminal_escapes.escape(" ".join(str(error).split()))[:200]
        raise errors.RunError(
            f"{name} holds no arrays of numbers that can be read ({reason}); "
            f"it was changed or damaged. {_HINT}"
        ) from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raises `ValueError` for an archive that claims more than it holds."""
    if len(members) > _MEMBERS:
        raise ValueError(f"it has {len(members):,} parts")
    # `savez` does not compress; a compressed member may unpack to any size.
    claimed = sum(each.file_size for each in members)
    if claimed > size:
        raise ValueError(f"its {size:,} bytes claim to be {claimed:,}")


def _read_array(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> np.ndarray:
    # The header alone; `read_array` would reserve the memory that it claims.
    with archive.open(member) as file:
        shape, dtype, length = _read_header(file)
        held = member.file_size - length
    if dtype.hasobject:
        raise ValueError("an array of it holds objects, not numbers")
    # Floats, integers, unsigned integers and booleans; exactly as many bytes.
    if dtype.kind not in "fiub" or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(
            f"an array of it claims {dtype} {list(shape)} in {held:,} bytes"
        )
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, int]:
    """Returns shape and dtype of an array, and the bytes before it."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"an array of it has the format {version}")
    shape, _, dtype = readers[version](file)
    return shape, dtype, file.tell()
