"""Listing of a folder tree: each folder once, those without data left out.

Folders without data are thumbnails, trash, workdirs and the like.
"""

import collections
import dataclasses
import os
import stat
from collections.abc import Iterator

from absl import logging

from tf_finetune import errors
from tf_finetune.data import class_names, examples
from tf_finetune.data.folders import ignored_folders

NO_DATA_REASON = "a folder that holds no data"
"""Begins the reason why a folder without data is left out."""


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class Folder:
    """A folder on disk, with its subfolders as a tree.

    Attributes:
        path: Path of the folder, as it was given.
        name: The last part of `path`.
        parent: The folder it lies in; None: it is the one that was given.
        folders: Its subfolders, sorted by name; without hidden folders and
            those without data (`ignored`).
        files: Names of its regular files, sorted; without hidden ones.
        dropped: Its other entries (hidden files, broken links), and why they
            are not listed.
        ignored: Its subfolders that hold no data.
        problem: Why it cannot be read; empty if it can be.
        own: Number of pictures directly in it, by their suffixes.
        pictures: Number of pictures in it and below.
        total: Number of files in it and below.
    """

    path: str
    name: str
    parent: "Folder | None" = None
    folders: list["Folder"] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)
    dropped: list[examples.DroppedFile] = dataclasses.field(
        default_factory=list
    )
    ignored: list[ignored_folders.IgnoredFolder] = dataclasses.field(
        default_factory=list
    )
    problem: str = ""
    own: int = 0
    pictures: int = 0
    total: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether it could be read and nothing lies in it, hidden or not."""
        rest = (self.folders, self.files, self.dropped, self.ignored)
        return not any(rest) and not self.problem

    @property
    def has_no_data(self) -> bool:
        """Whether it holds nothing but folders without data (thumbnails)."""
        return bool(self.ignored or self.folders) and not (
            self.files
            or self.problem
            or not all(each.has_no_data for each in self.folders)
        )

    def walk(self) -> Iterator["Folder"]:
        """Yields this folder and all below it, parents first, by name."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield folder
            pending.extend(reversed(folder.folders))

    def relative(self, path: str) -> str:
        """Returns a path relative to this folder, printable, with "/" added."""
        path = os.path.relpath(path, self.path)
        return f"{path if path.isprintable() else ascii(path)}/"

    def describe_content(self) -> str:
        """Returns how much lies in the folder: "12 pictures", "3 files"."""
        if self.pictures or not self.total:
            return format_count(self.pictures, "picture")
        return format_count(self.total, "file")

    def check_readable(self) -> None:
        """Checks that the folder itself could be listed.

        Raises:
            DataError: It could not.
        """
        if self.problem:
            raise errors.DataError(
                f"The folder {self.path} cannot be read: {self.problem}."
            )


def read_tree(top: str, *, besides: str = "") -> Folder:
    """Lists a folder and all below it.

    Every folder is entered once, so that links that lead back end. Folders
    without data (thumbnails, trash, workdirs) are left out.

    Args:
        top: Path of the folder.
        besides: Path of the cache, which is left out if it lies below `top`;
            empty: there is none.

    Returns:
        The folder, with counts of pictures and files summed up.

    Raises:
        DataError: `top` itself cannot be read.
    """
    root = Folder(path=top, name=os.path.basename(os.path.abspath(top)))
    seen = {_read_identity(top)} if os.path.isdir(top) else set()
    cache = (
        _read_identity(besides) if besides and os.path.isdir(besides) else None
    )
    # The cache itself may be given as the data.
    cache = None if cache in seen else cache
    pending = collections.deque([root])
    entered = []
    while pending:
        folder = pending.popleft()
        _list_folder(folder, seen, cache)
        # The folder that was given is read, whatever it holds.
        what = folder.parent and ignored_folders.describe_by_content(
            folder.files, [each.name for each in folder.folders]
        )
        if what:
            folder.parent.folders.remove(folder)
            folder.parent.ignored.append(_make_ignored(folder.path, what))
            continue
        entered.append(folder)
        pending.extend(folder.folders)
    root.check_readable()
    # Parents were entered first: backward, children are summed before them.
    for folder in reversed(entered):
        folder.own = ignored_folders.count_listed_pictures(
            folder.files, folder.path
        )
        below = folder.folders
        folder.pictures = folder.own + sum(each.pictures for each in below)
        folder.total = len(folder.files) + sum(each.total for each in below)
    return root


def warn_of_ignored(root: Folder, *, flag: str = "data") -> None:
    """Logs the folders that hold no data, in one line for each kind.

    The line is a warning if pictures lie in them, else of level INFO.

    Args:
        root: The tree that was read.
        flag: Name of the flag in messages.
    """
    kinds: dict[tuple[str, bool], list[ignored_folders.IgnoredFolder]] = {}
    for each in _list_ignored(root):
        # "Thumbnails" may be a class, "@eaDir" may not: only letters.
        may_be_class = os.path.basename(each.path).isalpha()
        may_be_class = may_be_class and ignored_folders.describe_by_name(
            os.path.basename(each.path)
        )
        kinds.setdefault((each.content, bool(may_be_class)), []).append(each)
    for (what, may_be_class), found in kinds.items():
        paths = [root.relative(each.path) for each in found]
        pictures = sum(each.pictures for each in found)
        logging.log(
            logging.WARNING if pictures else logging.INFO,
            "Left out of --%s: %s (%s): %s.%s",
            flag,
            class_names.join_names(paths),
            format_count(pictures, "picture"),
            what,
            _suggest_rename(len(found)) if may_be_class else "",
        )


def list_dropped(root: Folder) -> list[examples.DroppedFile]:
    """Returns a `DroppedFile` for each folder without data below `root`."""
    return [
        examples.DroppedFile(
            path=each.path,
            reason=f"{NO_DATA_REASON}: {each.content}",
            pictures=each.pictures,
        )
        for each in _list_ignored(root)
    ]


def format_count(count: int, noun: str) -> str:
    """Formats a number with its noun: "1 picture", "12,000 pictures"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _list_ignored(root: Folder) -> list[ignored_folders.IgnoredFolder]:
    """Returns every folder without data in a folder and below."""
    return [each for folder in root.walk() for each in folder.ignored]


def _suggest_rename(count: int) -> str:
    if count == 1:
        return " Rename it if it is a class."
    return " Rename them if they are classes."


def _list_folder(
    folder: Folder,
    seen: set[tuple[int, int]],
    cache: tuple[int, int] | None,
) -> None:
    """Lists a folder: its files, subfolders and dropped entries."""
    try:
        with os.scandir(folder.path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        folder.problem = error.strerror or str(error)
        return
    beside = {entry.name for entry in found}
    for entry in found:
        if reason := _explain_unlistable(entry):
            path = os.path.join(folder.path, entry.name)
            folder.dropped.append(
                examples.DroppedFile(path=path, reason=reason)
            )
        elif entry.is_dir():
            _add_subfolder(folder, entry, beside, seen, cache)
        else:
            folder.files.append(entry.name)


def _add_subfolder(
    folder: Folder,
    entry: os.DirEntry,
    beside: set[str],
    seen: set[tuple[int, int]],
    cache: tuple[int, int] | None,
) -> None:
    """Adds a subfolder, to be listed or left out."""
    path = os.path.join(folder.path, entry.name)
    identity = _read_identity(path)
    if identity == cache:
        what = "the cache of this package"
    else:
        what = ignored_folders.describe_by_name(entry.name)
        what = what or ignored_folders.describe_run_part(entry.name, beside)
    if what:
        folder.ignored.append(_make_ignored(path, what))
    elif identity in seen:
        reason = "a link to a folder that is already listed"
        folder.dropped.append(examples.DroppedFile(path=path, reason=reason))
    else:
        seen.add(identity)
        below = Folder(path=path, name=entry.name, parent=folder)
        folder.folders.append(below)


def _make_ignored(path: str, what: str) -> ignored_folders.IgnoredFolder:
    count = ignored_folders.count_pictures(path)
    return ignored_folders.IgnoredFolder(
        path=path, content=what, pictures=count
    )


def _explain_unlistable(entry: os.DirEntry) -> str | None:
    """Says why a path is neither a folder to enter nor a file to list."""
    try:
        if entry.name.startswith("."):
            return _describe_hidden(entry)
        if entry.is_dir() or entry.is_file():
            return None
        mode = os.stat(entry.path).st_mode
    except FileNotFoundError:
        return "a broken symbolic link"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    # Sockets, pipes and devices would block, or be read without end.
    regular = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return None if regular else "not a regular file"


def _describe_hidden(entry: os.DirEntry) -> str:
    if not entry.is_dir():
        return "a hidden file"
    count = ignored_folders.count_pictures(entry.path)
    pictures = f": {format_count(count, 'picture')}" if count else ""
    return f"a hidden folder{pictures}"


def _read_identity(folder: str) -> tuple[int, int]:
    # Device and inode: equal for a folder and any link to it.
    status = os.stat(folder)
    return status.st_dev, status.st_ino
