"""Roles of the folders of a data set: classes, splits, unused; their checks."""

import collections
import dataclasses
import os
from collections.abc import Iterable

from absl import logging

from tf_finetune import errors
from tf_finetune.data import class_names, examples
from tf_finetune.data.folders import folder_tree, folder_words


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassFolder:
    """A class folder: all pictures in it and below are of one class.

    Attributes:
        folder: The folder with its files.
        label: Name of the class.
        split: One of `examples.SPLITS`; None: the data brings no split for it.
    """

    folder: folder_tree.Folder
    label: str
    split: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnusedFolder:
    """A folder with pictures that are not used, and the reason.

    Attributes:
        path: Path of the folder.
        reason: Why, without a capital and a period: "outside any class folder".
        content: How much lies there: "9 pictures".
        count: The number in `content`.
    """

    path: str
    reason: str
    content: str
    count: int


@dataclasses.dataclass(kw_only=True)
class Layout:
    """Class folders and unused folders of a data set, collected step by step.

    Attributes:
        class_folders: The folders of the classes, with their splits.
        unused_folders: Folders with pictures that are not used, with reasons.
        outer_folders: Folders above the class folders; files directly in them
            are dropped.
        notices: Sentences for the log on assumptions that were made.
    """

    class_folders: list[ClassFolder] = dataclasses.field(default_factory=list)
    unused_folders: list[UnusedFolder] = dataclasses.field(default_factory=list)
    outer_folders: list[folder_tree.Folder] = dataclasses.field(
        default_factory=list
    )
    notices: list[str] = dataclasses.field(default_factory=list)

    def mark_unused(self, folder: folder_tree.Folder, reason: str) -> None:
        """Adds a folder to `unused_folders`, with its number of pictures.

        Args:
            folder: A folder whose pictures are not used.
            reason: Why, without a capital and a period.
        """
        unused = UnusedFolder(
            path=folder.path,
            reason=reason,
            content=folder.describe_content(),
            count=folder.pictures or folder.total,
        )
        self.unused_folders.append(unused)


def list_dropped(unused: Iterable[UnusedFolder]) -> list[examples.DroppedFile]:
    """Returns a `DroppedFile` for each unused folder, with its count."""
    return [
        examples.DroppedFile(
            path=each.path,
            reason=f"{each.reason}: {each.content}",
            pictures=each.count,
        )
        for each in unused
    ]


def warn_of_unused(
    unused: Iterable[UnusedFolder], root: folder_tree.Folder
) -> None:
    """Logs a warning for the folders that are not used, one for each reason."""
    reasons: dict[str, list[UnusedFolder]] = {}
    for each in unused:
        reasons.setdefault(each.reason, []).append(each)
    for reason, found in reasons.items():
        said = [
            f"{root.relative(each.path)} ({each.content})" for each in found
        ]
        are = "is" if len(found) == 1 else "are"
        logging.warning(
            "%s %s not used: %s.", class_names.join_names(said), are, reason
        )


def holds_pictures(folder: folder_tree.Folder) -> bool:
    """Tells if pictures lie in a folder or below, by the counts of its tree.

    Where the whole data set holds no picture, any file counts as one, so that
    errors name the folders that hold the files.
    """
    return bool(folder.pictures if _has_any_pictures(folder) else folder.total)


def list_picture_folders(
    folder: folder_tree.Folder,
) -> list[folder_tree.Folder]:
    """Returns the subfolders of which `holds_pictures` is true."""
    return [each for each in folder.folders if holds_pictures(each)]


def holds_loose_pictures(folder: folder_tree.Folder) -> bool:
    """Tells if pictures lie directly in a folder; see `holds_pictures`."""
    return bool(folder.own if _has_any_pictures(folder) else folder.files)


def holds_class_folders(folder: folder_tree.Folder) -> bool:
    """Tells if class folders lie in a folder, directly or below wrappers.

    A wrapper is a folder that holds nothing but one other folder. One folder of
    pictures whose name says nothing (images/, or that of the folder around it)
    is no class.
    """
    folder = find_class_level(folder)
    below = list_picture_folders(folder)
    # Several folders, or one that holds further folders: classes.
    if (
        len(below) != 1
        or not holds_loose_pictures(below[0])
        or list_picture_folders(below[0])
    ):
        return bool(below)
    name = below[0].name
    is_wrapper = name.casefold() == folder.name.casefold()
    return not (is_wrapper or folder_words.has_only_fillers(name))


def find_class_level(folder: folder_tree.Folder) -> folder_tree.Folder:
    """Returns the folder that holds the class folders, below any wrappers.

    A wrapper holds nothing but one folder that holds folders:
    seg_train/seg_train/CLASS, train/images/CLASS. The result is `folder` itself
    where it holds anything else.
    """
    # Stops at the first fork, or where pictures lie beside the only folder.
    while len(
        below := list_picture_folders(folder)
    ) == 1 and not holds_loose_pictures(folder):
        if not list_picture_folders(below[0]) or holds_loose_pictures(below[0]):
            break
        folder = below[0]
    return folder


def list_path(
    top: folder_tree.Folder, level: folder_tree.Folder
) -> list[folder_tree.Folder]:
    """Returns the folders from `top` down to `level` in it, both included."""
    found = [level]
    while found[-1] is not top:
        found.append(found[-1].parent)
    return found[::-1]


def check_repeated_names(
    root: folder_tree.Folder,
    level: folder_tree.Folder,
    folders: list[folder_tree.Folder],
) -> None:
    """Checks that folders taken for classes do not look like splits.

    Args:
        root: The folder that was given as --data.
        level: The folder that holds them.
        folders: The folders taken for classes.

    Raises:
        DataError: At least half of them, and two, hold folders of the same
            names, as splits do.
    """
    alive = [each for each in folders if holds_pictures(each)]
    inner = {
        each.path: folder_words.fold_names(
            [e.name for e in list_picture_folders(each)]
        )
        for each in alive
        if len(list_picture_folders(each)) > 1
        and not holds_loose_pictures(each)
    }
    counts = collections.Counter(inner.values())
    if not counts:
        return
    ((common, _),) = counts.most_common(1)
    alike = [
        each
        for each in alive
        if each.path in inner
        # Jaccard index of the folder names of at least 1/2.
        and 2 * len(inner[each.path] & common) >= len(inner[each.path] | common)
    ]
    # At least two folders, and half of all, must agree.
    if len(alike) < 2 or 2 * len(alike) < len(alive):
        return
    depth = len(list_path(root, level))
    names = class_names.join_names([f"{each.name}/" for each in alike])
    inside = [each.name for each in list_picture_folders(alike[0])]
    raise errors.DataError(
        f"In {level.path} {names} hold folders of the same names "
        f"({class_names.join_names(inside)}), as splits do. If they are "
        "splits, call them train/, validation/ and test/; if they are classes, "
        f"give --class_level={depth}; if the folders in them are the classes, "
        f"--class_level={depth + 1}."
    )


def check_data_path(root: folder_tree.Folder) -> None:
    """Checks that --data names the folder of the class folders, none above it.

    Raises:
        DataError: The class folders lie below the only folder in `root`, or a
            table beside the only folder seems to name the classes.
    """
    folder = root
    # Follows single folders down: archive/data/animals/{cats,dogs}.
    while len(
        below := list_picture_folders(folder)
    ) == 1 and not holds_loose_pictures(folder):
        folder = below[0]
    _check_table(root, folder)
    inner = list_picture_folders(folder)
    if folder is root or len(inner) < 2 or holds_loose_pictures(folder):
        return
    names = class_names.join_names([each.name for each in inner])
    raise errors.DataError(
        f"{root.path} holds no folders of classes but the one folder "
        f"{root.relative(folder.path)}, which holds {len(inner)} folders with "
        f"pictures ({names}): --data={folder.path} is probably meant. If "
        f"{list_picture_folders(root)[0].name}/ is a class, give "
        "--class_level=1."
    )


def check_no_splits_inside(level: folder_tree.Folder) -> None:
    """Checks that the folder of a split does not hold splits itself.

    Raises:
        DataError: All folders in it, at least two, are named like splits.
    """
    below = list_picture_folders(level)
    names = folder_words.select_split_names([each.name for each in below])
    if len(names) > 1 and len(names) == len(below):
        raise errors.DataError(
            f"{level.path} is named like a split and holds "
            f"{class_names.join_names([f'{name}/' for name in names])}, "
            "which are named like splits, too. Give the folder that holds the "
            "splits as --data, or rename the folders that are not splits."
        )


def _has_any_pictures(folder: folder_tree.Folder) -> bool:
    # Decided by the whole data set, so that all its folders count alike.
    while folder.parent is not None:
        folder = folder.parent
    return bool(folder.pictures)


def _check_table(root: folder_tree.Folder, folder: folder_tree.Folder) -> None:
    """Raises `DataError` if a table beside one folder names the classes."""
    if folder is root or len(list_picture_folders(folder)) > 1:
        return
    tables = [
        os.path.join(each.path, name)
        for each in list_path(root, folder)
        for name in each.files
        if name.lower().endswith((".csv", ".tsv"))
    ]
    if len(tables) == 1:
        raise errors.DataError(
            f"{root.path} holds one folder with pictures, "
            f"{root.relative(folder.path)}, and a table: --data={tables[0]} is "
            "probably meant."
        )
