"""Picture files without labels: a file, a folder or a pattern; a run's pool.

The pool is the unlabeled pictures that a run trains on, without those of its
own splits.
"""

import collections
import dataclasses
import glob
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.data import class_names, data_statistics, examples
from tf_finetune.data.folders import folder_tree, ignored_folders
from tf_finetune.data.images import inspection

_MAX_SHOWN = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """Usable unlabeled pictures of a run, and counts of those left out.

    Attributes:
        found: Number of files that were looked at.
        pictures: Pictures to train on; of equal files one.
        dropped: Files that are not usable pictures, and why.
        known: Number of pictures, by split, that the run's own data already
            holds, compared by content. Validation and test pictures must not be
            trained on in any way; training pictures have a label.
        repeated: Number of files with the same content as another one.
    """

    found: int
    pictures: tuple[examples.Picture, ...]
    dropped: tuple[examples.DroppedFile, ...]
    known: Mapping[str, int]
    repeated: int

    @property
    def fingerprint(self) -> str:
        """Hexadecimal hash over the contents of `pictures`."""
        # Sorted: where the files lie and how they are called plays no part.
        contents = sorted(each.sha256 for each in self.pictures)
        return hashlib.sha256("".join(contents).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Returns the counts and the dropped files, ready for JSON.

        Returns:
            `found`, `used` (pictures to train on), `in_own_data` (by split),
            `repeated` and `dropped` (path, reason and pictures of each).
        """
        return {
            "found": self.found,
            "used": len(self.pictures),
            "in_own_data": dict(self.known),
            "repeated": self.repeated,
            "dropped": [dataclasses.asdict(each) for each in self.dropped],
        }

    def text(self) -> str:
        """Returns the counts and the first dropped files, one line each."""
        known = "".join(
            f", {count} already in {split}"
            for split, count in self.known.items()
        )
        lines = [
            f"{len(self.pictures)} unlabeled pictures (of {self.found} files: "
            f"{len(self.dropped)} dropped, {self.repeated} duplicates"
            f"{known})"
        ]
        shown = self.dropped[:_MAX_SHOWN]
        lines += [
            f"  dropped {data_statistics.format_dropped(each)}"
            for each in shown
        ]
        if rest := len(self.dropped) - len(shown):
            files = data_statistics.format_count(rest, "more dropped file")
            lines.append(f"  {files} not listed here")
        return "\n".join(lines)

    def without(self, problems: Mapping[str, str]) -> "Pool":
        """Returns a new pool whose undecodable pictures are dropped files.

        Args:
            problems: Reason by path of pictures that cannot be decoded; paths
                of other files are ignored.
        """
        bad = [
            examples.DroppedFile(path=each.path, reason=problems[each.path])
            for each in self.pictures
            if each.path in problems
        ]
        good = tuple(e for e in self.pictures if e.path not in problems)
        return dataclasses.replace(
            self, pictures=good, dropped=(*self.dropped, *bad)
        )


def find_files(data: str, *, flag: str = "data") -> list[str]:
    """Finds the files that a file, a folder or a pattern names, sorted.

    Args:
        data: A file; a folder, searched recursively (hidden files and folders,
            and folders without data such as thumbnails, are left out); or a
            glob pattern, in which `**` matches folders of any depth.
        flag: Name of the flag in messages.

    Returns:
        Paths of files of any kind, at least one.

    Raises:
        DataError: Nothing matches, or the folder cannot be read.
    """
    path = os.path.expanduser(data)
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        root = folder_tree.read_tree(path)
        folder_tree.warn_of_ignored(root, flag=flag)
        found = [
            os.path.join(folder.path, name)
            for folder in root.walk()
            for name in folder.files
        ]
    else:
        found = _match_pattern(path, flag)
    if not found:
        raise _make_error(data, flag)
    return sorted(found)


def check_existence(data: str, *, flag: str) -> None:
    """Raises `DataError` for a path or pattern at which no file is.

    Cheap: nothing is searched beyond the first match or the first file.

    Args:
        data: As for `find_files`.
        flag: Name of the flag in messages.
    """
    path = os.path.expanduser(data)
    if os.path.isdir(path):
        is_found = any(files for _, _, files in os.walk(path))
    else:
        is_found = os.path.lexists(path) or any(
            glob.iglob(path, recursive=True)
        )
    if not is_found:
        raise _make_error(data, flag)


def _make_error(data: str, flag: str) -> errors.DataError:
    return errors.DataError(
        f"No file at --{flag}={data}; give a picture, a folder with "
        "pictures, or a quoted pattern such as 'photos/**/*.jpg'."
    )


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
            class_names.join_names(sorted(left)),
            class_names.join_names(sorted({e for e in holds.values() if e})),
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
    """Inspects the headers and hashes the contents of files.

    Args:
        paths: Files that may be pictures.
        max_pixels: Pictures of more pixels (width * height) are unusable.

    Returns:
        The usable pictures, with the label "", and the reason by path of the
        other files.
    """
    listed = [examples.Example(path=path, label="") for path in paths]
    pictures, dropped = inspection.inspect_files(listed, max_pixels=max_pixels)
    return list(pictures), {each.path: each.reason for each in dropped}


def derive_name(data: str) -> str:
    """Returns a short name for data, fit for a file name.

    Args:
        data: A path, a pattern or a name such as tfds:NAME.

    Returns:
        The last part of the path without its suffix; "data" if it is empty.
    """
    return pathlib.PurePath(data).stem or "data"


def collect_pool(
    paths: Sequence[str],
    own: Sequence[examples.Picture],
    *,
    max_pixels: int,
) -> Pool:
    """Inspects files as pictures; removes duplicates and known pictures.

    Args:
        paths: Files that may be pictures.
        own: Pictures of all splits of the run, which are left out by content.
        max_pixels: Pictures of more pixels (width * height) are dropped.

    Returns:
        The pool; no file is moved or removed on disk.
    """
    pictures, problems = inspect_files(list(paths), max_pixels=max_pixels)
    # By the SHA-256 of the file: a copy under another name is the same picture.
    split_of = {each.sha256: each.split for each in own}
    first: dict[str, examples.Picture] = {}
    known: collections.Counter[str] = collections.Counter()
    repeated = 0
    for picture in pictures:
        if picture.sha256 in split_of:
            known[split_of[picture.sha256]] += 1
        elif picture.sha256 in first:
            repeated += 1
        else:
            first[picture.sha256] = picture
    return Pool(
        found=len(paths),
        pictures=tuple(first.values()),
        dropped=tuple(
            examples.DroppedFile(path=path, reason=reason)
            for path, reason in problems.items()
        ),
        known={s: known[s] for s in examples.SPLITS if known[s]},
        repeated=repeated,
    )
