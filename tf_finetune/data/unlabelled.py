"""Pictures without labels: a file, a folder or a pattern."""

import glob
import os
import pathlib

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.data.pictures import inspection


def find(data: str, *, flag: str = "data") -> list[str]:
    """Returns the files that `--data` means, sorted.

    Args:
        data: A file; a folder, searched through (hidden files left out); or a
            glob pattern, in which `**` matches folders of any depth.
        flag: Its name in messages.

    Raises:
        DataError: There is nothing.
    """
    path = os.path.expanduser(data)
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        found = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if not name.startswith(".")
        ]
    else:
        found = [
            each
            for each in glob.glob(path, recursive=True)
            if not os.path.isdir(each)
        ]
    if not found:
        raise errors.DataError(
            f"No file at --{flag}={data}; give a picture, a folder with "
            "pictures, or a quoted pattern such as 'photos/**/*.jpg'."
        )
    return sorted(found)


def inspect(
    paths: list[str], *, max_pixels: int
) -> tuple[list[examples.Picture], dict[str, str]]:
    """Looks at the files' headers.

    Returns:
        The files that may be pictures, and by path why others are none.
    """
    listed = [examples.Example(path=path, label="") for path in paths]
    pictures, dropped = inspection.inspect(listed, max_pixels=max_pixels)
    return list(pictures), {each.path: each.reason for each in dropped}


def name_of(data: str) -> str:
    """Returns a short name for the data, fit for a file name."""
    return pathlib.PurePath(data).stem or "data"
