"""Untrusted Keras model files and zip archives, checked before opening."""

import contextlib
import io
import json
import os
import pathlib
import stat
import zipfile
from collections.abc import Iterator
from typing import Any

from tf_finetune import errors

WEIGHTS_MEMBER = "model.weights.h5"
_CONFIG_MEMBER = "config.json"

# A .keras file holds three members and the vocabularies of its layers.
MAX_MEMBERS = 10_000
# Of all members together; less than this is never refused.
LARGE_BYTES = 1 << 28
# Trained weights hardly compress; zeros, as in a zip bomb, compress a thousand
# times.
MAX_EXPANSION = 20
# The config of NASNetLarge, the largest of keras.applications, has 0.8 MB.
MAX_CONFIG_BYTES = 8 << 20

# Of the central directory: 46 bytes and a name for each member. It is read
# whole before members can be counted.
_MAX_DIRECTORY_BYTES = 8 << 20
_CONFIG_MEMBERS = ("config.json", "metadata.json")


class _DirectoryFile(io.FileIO):
    """A file that limits one read to the size of a zip directory."""

    bounded = True

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads bytes; refuses more than a directory may have."""
        if self.bounded and size is not None and size > _MAX_DIRECTORY_BYTES:
            raise errors.RunError(
                f"The archive is refused: the list of its members has "
                f"{size:,} bytes, and {_MAX_DIRECTORY_BYTES:,} is the limit."
            )
        return super().read(size)


def check_file(path: pathlib.Path) -> None:
    """Raises `RunError` for a .keras or .h5 file that is beyond any network.

    Limited are the numbers of members, levels and objects, the lengths of names
    and the sum of bytes, before anything of that size is allocated. The config,
    which Keras builds layers from, is not checked here.

    Raises:
        RunError: The message begins with the file's name.
    """
    with explain_errors(path):
        _check_regular_file(path)
        with open(path, "rb") as file:
            # The signature of a zip archive; a .h5 file has none.
            packed = file.read(4) == b"PK\x03\x04"
        if not packed:
            _check_hdf5(path)
            return
        with open_archive(path) as archive:
            content = archive.read(WEIGHTS_MEMBER)
        _check_hdf5(io.BytesIO(content))


def read_config(archive: zipfile.ZipFile) -> Any:
    """Returns the parsed config.json of an opened archive."""
    return json.loads(archive.read(_CONFIG_MEMBER))


@contextlib.contextmanager
def explain_errors(path: pathlib.Path) -> Iterator[None]:
    """Turns errors of reading a file into a `RunError` with its name."""
    try:
        yield
    except errors.RunError as error:
        raise errors.RunError(f"Cannot read {path}. {error}") from error
    except MemoryError as error:
        raise errors.RunError(
            f"{path} does not fit into memory ({error or 'no reason given'}). "
            "Close other programs, or use a smaller network."
        ) from error
    # h5py and zipfile raise any of these for a damaged file.
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        RuntimeError,
        NotImplementedError,
        OverflowError,
        zipfile.BadZipFile,
        EOFError,
    ) as error:
        raise errors.RunError(
            f"{path} is damaged or incomplete ({error}). Copy or download it "
            "again."
        ) from error


def _check_regular_file(path: pathlib.Path) -> None:
    """Raises `RunError` for a pipe, a device or a socket, without opening it.

    Raises:
        OSError: Nothing is there, or it may not be looked at.
    """
    # Opening a pipe would wait for a writer without end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise errors.RunError(f"{path} is not a regular file.")


@contextlib.contextmanager
def open_archive(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    """Opens an archive whose directory is within all limits.

    Raises:
        RunError: It is no regular file; it has more than `MAX_MEMBERS`
            members; they unpack to more than `MAX_EXPANSION` times its size
            and than `LARGE_BYTES`; or a config is over `MAX_CONFIG_BYTES`.
        OSError: It cannot be read.
        zipfile.BadZipFile: It is damaged.
    """
    _check_regular_file(path)
    with _DirectoryFile(path) as file, zipfile.ZipFile(file) as archive:
        # The directory has been read; members may be larger than its limit.
        file.bounded = False
        _check_members(archive, os.fstat(file.fileno()).st_size)
        yield archive


def _check_hdf5(file: pathlib.Path | io.BytesIO) -> None:
    # Here, so that commands without such files need not load h5py.
    import h5py

    from tf_finetune.untrusted import hdf5_structure

    with h5py.File(file, "r") as opened:
        hdf5_structure.list_objects(opened)


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise errors.RunError(
            f"The archive is refused: it has {len(members):,} members, and "
            f"{MAX_MEMBERS:,} is the limit."
        )
    for each in members:
        if (
            each.filename in _CONFIG_MEMBERS
            and each.file_size > MAX_CONFIG_BYTES
        ):
            raise errors.RunError(
                f"The archive is refused: {each.filename!r} in it has "
                f"{each.file_size:,} bytes, and {MAX_CONFIG_BYTES:,} is the "
                "limit."
            )
    unpacked = sum(each.file_size for each in members)
    allowed = max(LARGE_BYTES, MAX_EXPANSION * size)
    if unpacked > allowed:
        raise errors.RunError(
            f"The archive is refused: it unpacks from {size:,} to "
            f"{unpacked:,} bytes, and {allowed:,} is the limit for one of its "
            "size."
        )
