"""Finds picture files without labels: a file, a folder or a pattern."""

import glob
import os
import pathlib

from absl import logging

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.data.folders import (
    folder_messages,
    folder_tree,
    ignored_folders,
)
from tf_finetune.data.images import inspection


def find_files(data: str, *, flag: str = "data") -> list[str]:
    """Finds the files that a file, a folder or a pattern names, sorted.

    Args:
        data: A file; a folder, searched recursively (hidden files and folders,
            and folders without data, are left out); or a glob pattern, in
            which `**` matches folders of any depth.
        flag: Its name in messages.

    Raises:
        DataError: There is nothing.
    """
    path = os.path.expanduser(data)
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        root = folder_tree.read_tree(path)
        folder_messages.warn_of_ignored(root, flag=flag)
        found = [
            os.path.join(folder.path, name)
            for folder in root.walk()
            for name in folder.files
        ]
    else:
        found = _match_pattern(path, flag)
    if not found:
        raise errors.DataError(
            f"No file at --{flag}={data}; give a picture, a folder with "
            "pictures, or a quoted pattern such as 'photos/**/*.jpg'."
        )
    return sorted(found)


def _match_pattern(pattern: str, flag: str) -> list[str]:
    """Finds files that match a pattern, except in folders without data.

    Folders that the pattern itself names, as in 'thumbs/*.jpg', are searched.
    """
    named = set(pathlib.PurePath(pattern).parts)
    # Reason by folder, each listed once, however many files match in it.
    holds: dict[str, str] = {}

    def without_data(folder: str) -> str:
        """Returns why a folder, or one above it, is no data; empty if it is."""
        if folder in holds or not folder:
            return holds.get(folder, "")
        above, name = os.path.split(folder)
        if name in named or not name:
            holds[folder] = ""
        else:
            holds[folder] = without_data(above) or _describe_leftovers(folder)
        return holds[folder]

    found, left = [], []
    for path in glob.glob(pattern, recursive=True):
        if not os.path.isdir(path):
            is_left = without_data(os.path.dirname(path))
            (left if is_left else found).append(path)
    if left:
        logging.warning(
            "Left out of --%s: %s, which lie in folders of %s.",
            flag,
            folder_messages.join_names(sorted(left)),
            folder_messages.join_names(
                sorted({e for e in holds.values() if e})
            ),
        )
    return found


def _describe_leftovers(folder: str) -> str:
    names = os.listdir(folder)
    return ignored_folders.describe_by_name(os.path.basename(folder)) or (
        ignored_folders.describe_by_content(names, names)
    )


def inspect_files(
    paths: list[str], *, max_pixels: int
) -> tuple[list[examples.Picture], dict[str, str]]:
    """Inspects the headers of files.

    Returns:
        The usable pictures, and the reason by path of the other files.
    """
    listed = [examples.Example(path=path, label="") for path in paths]
    pictures, dropped = inspection.inspect_files(listed, max_pixels=max_pixels)
    return list(pictures), {each.path: each.reason for each in dropped}


def derive_name(data: str) -> str:
    """Returns a short name for the data, fit for a file name."""
    return pathlib.PurePath(data).stem or "data"
