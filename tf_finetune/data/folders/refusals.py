"""Errors for folder trees that are likely not meant as they are."""

import collections
import os

from tf_finetune import errors
from tf_finetune.data.folders import layout, roles, telling, tree


def check_same_sets(
    root: tree.Folder, level: tree.Folder, folders: list[tree.Folder]
) -> None:
    """Raises `DataError` if folders hold the same folders, as splits do."""
    alive = [each for each in folders if layout.is_live(each)]
    inner = {
        each.path: telling.same([e.name for e in layout.live(each)])
        for each in alive
        if len(layout.live(each)) > 1 and not layout.is_loose(each)
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
    depth = len(layout.way(root, level))
    names = telling.listed([f"{each.name}/" for each in alike])
    inside = [each.name for each in layout.live(alike[0])]
    raise errors.DataError(
        f"In {level.path} {names} hold folders of the same names "
        f"({telling.listed(inside)}), as splits do. If they are splits, call "
        "them train/, validation/ and test/; if they are classes, give "
        f"--class_level={depth}; if the folders in them are the classes, "
        f"--class_level={depth + 1}."
    )


def check_meant(root: tree.Folder) -> None:
    """Raises `DataError` if the data lies in the one folder that is there."""
    folder = root
    # Follows single folders down: archive/data/animals/{cats,dogs}.
    while len(below := layout.live(folder)) == 1 and not layout.is_loose(
        folder
    ):
        folder = below[0]
    _check_table(root, folder)
    inner = layout.live(folder)
    if folder is root or len(inner) < 2 or layout.is_loose(folder):
        return
    names = telling.listed([each.name for each in inner])
    raise errors.DataError(
        f"{root.path} holds no folders of classes but the one folder "
        f"{root.relative(folder)}, which holds {len(inner)} folders with "
        f"pictures ({names}): --data={folder.path} is probably meant. If "
        f"{layout.live(root)[0].name}/ is a class, give --class_level=1."
    )


def _check_table(root: tree.Folder, folder: tree.Folder) -> None:
    """Raises `DataError` if a table beside one folder names the classes."""
    if folder is root or len(layout.live(folder)) > 1:
        return
    tables = [
        os.path.join(each.path, name)
        for each in layout.way(root, folder)
        for name in each.files
        if name.lower().endswith((".csv", ".tsv"))
    ]
    if len(tables) == 1:
        raise errors.DataError(
            f"{root.path} holds one folder with pictures, "
            f"{root.relative(folder)}, and a table: --data={tables[0]} is "
            "probably meant."
        )


def check_no_splits_inside(level: tree.Folder) -> None:
    """Raises `DataError` if a split's folder holds splits itself."""
    below = layout.live(level)
    names = roles.named([each.name for each in below])
    if len(names) > 1 and len(names) == len(below):
        raise errors.DataError(
            f"{level.path} is called like a split and holds "
            f"{telling.listed([f'{name}/' for name in names])}, which are "
            "called like splits, too. Give the folder that holds the splits "
            "as --data, or rename those that are none."
        )
