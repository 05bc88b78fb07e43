"""Untrusted zip archives, checked against limits before unpacking."""

import contextlib
import io
import os
import pathlib
import stat
import zipfile
from collections.abc import Iterator

from tf_finetune import errors

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


def check_regular_file(path: pathlib.Path) -> None:
    """Raises `RunError` for a pipe, a device or a folder, without opening it.

    Raises:
        RunError: It is not a regular file (links are followed).
        OSError: Nothing is there, or its status may not be read.
    """
    # Opening a pipe would wait for a writer without end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise errors.RunError(f"{path} is not a regular file.")


@contextlib.contextmanager
def open_archive(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive, and refuses one that is beyond the limits.

    Yields:
        The open archive; it is closed when the block ends.

    Raises:
        RunError: It is no regular file; it has more than `MAX_MEMBERS`
            members; they unpack to more than `MAX_EXPANSION` times its size
            and more than `LARGE_BYTES`; or a config is larger than
            `MAX_CONFIG_BYTES`.
        OSError: It cannot be read.
        zipfile.BadZipFile: It is damaged.
    """
    check_regular_file(path)
    with _DirectoryFile(path) as file, zipfile.ZipFile(file) as archive:
        # The directory has been read; members may be larger than its limit.
        file.bounded = False
        _check_members(archive, os.fstat(file.fileno()).st_size)
        yield archive


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
