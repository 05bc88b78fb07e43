"""Errors for folder trees that are likely not meant as they are."""

import collections
import os

from tf_finetune import errors
from tf_finetune.data.folders import (
    folder_layout,
    folder_messages,
    folder_tree,
    split_names,
)


def check_repeated_names(
    root: folder_tree.Folder,
    level: folder_tree.Folder,
    folders: list[folder_tree.Folder],
) -> None:
    """Raises `DataError` if folders hold the same folders, as splits do."""
    alive = [each for each in folders if folder_layout.holds_pictures(each)]
    inner = {
        each.path: folder_messages.fold_names(
            [e.name for e in folder_layout.list_picture_folders(each)]
        )
        for each in alive
        if len(folder_layout.list_picture_folders(each)) > 1
        and not folder_layout.holds_loose_pictures(each)
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
    depth = len(folder_layout.list_path(root, level))
    names = folder_messages.join_names([f"{each.name}/" for each in alike])
    inside = [
        each.name for each in folder_layout.list_picture_folders(alike[0])
    ]
    raise errors.DataError(
        f"In {level.path} {names} hold folders of the same names "
        f"({folder_messages.join_names(inside)}), as splits do. If they are "
        "splits, call them train/, validation/ and test/; if they are classes, "
        f"give --class_level={depth}; if the folders in them are the classes, "
        f"--class_level={depth + 1}."
    )


def check_data_path(root: folder_tree.Folder) -> None:
    """Raises `DataError` if the data lies in the one folder that is there."""
    folder = root
    # Follows single folders down: archive/data/animals/{cats,dogs}.
    while len(
        below := folder_layout.list_picture_folders(folder)
    ) == 1 and not folder_layout.holds_loose_pictures(folder):
        folder = below[0]
    _check_table(root, folder)
    inner = folder_layout.list_picture_folders(folder)
    if (
        folder is root
        or len(inner) < 2
        or folder_layout.holds_loose_pictures(folder)
    ):
        return
    names = folder_messages.join_names([each.name for each in inner])
    raise errors.DataError(
        f"{root.path} holds no folders of classes but the one folder "
        f"{root.relative(folder)}, which holds {len(inner)} folders with "
        f"pictures ({names}): --data={folder.path} is probably meant. If "
        f"{folder_layout.list_picture_folders(root)[0].name}/ is a class, give "
        "--class_level=1."
    )


def _check_table(root: folder_tree.Folder, folder: folder_tree.Folder) -> None:
    """Raises `DataError` if a table beside one folder names the classes."""
    if folder is root or len(folder_layout.list_picture_folders(folder)) > 1:
        return
    tables = [
        os.path.join(each.path, name)
        for each in folder_layout.list_path(root, folder)
        for name in each.files
        if name.lower().endswith((".csv", ".tsv"))
    ]
    if len(tables) == 1:
        raise errors.DataError(
            f"{root.path} holds one folder with pictures, "
            f"{root.relative(folder)}, and a table: --data={tables[0]} is "
            "probably meant."
        )


def check_no_splits_inside(level: folder_tree.Folder) -> None:
    """Raises `DataError` if a split's folder holds splits itself."""
    below = folder_layout.list_picture_folders(level)
    names = split_names.select_split_names([each.name for each in below])
    if len(names) > 1 and len(names) == len(below):
        raise errors.DataError(
            f"{level.path} is named like a split and holds "
            f"{folder_messages.join_names([f'{name}/' for name in names])}, "
            "which are named like splits, too. Give the folder that holds the "
            "splits as --data, or rename the folders that are not splits."
        )
