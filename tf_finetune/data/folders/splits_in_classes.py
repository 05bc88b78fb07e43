"""Splits inside class folders: CLASS/train, CLASS/val."""

from tf_finetune import errors
from tf_finetune.data import class_names
from tf_finetune.data.folders import (
    folder_layout,
    folder_tree,
    folder_words,
    split_folders,
)


def add_classes(root: folder_tree.Folder, found: folder_layout.Layout) -> bool:
    """Adds the classes with their splits if most class folders hold splits.

    Args:
        root: The tree of the data set's folder: CLASS/train, CLASS/val.
        found: The layout, to which classes, unused folders and a notice are
            added in place.

    Returns:
        Whether most class folders hold splits; if not, `found` is unchanged.

    Raises:
        DataError: Two folders of a class mean the same split, or each folder is
            a data set of its own.
    """
    below = folder_layout.list_picture_folders(root)
    split_of: dict[str, list[str]] = {}
    for folder in below:
        inner = folder_layout.list_picture_folders(folder)
        names = folder_words.select_split_names([each.name for each in inner])
        # One folder called "test" among others may be a class of that name.
        are_splits = len(names) == len(inner) or len(names) > 1
        if (
            inner
            and are_splits
            and not folder_layout.holds_loose_pictures(folder)
        ):
            split_of[folder.name] = names
    every = {name for names in split_of.values() for name in names}
    assigned = folder_words.assign_splits(sorted(every))
    # Most classes must be divided, or it is chance that one holds train/.
    if len(split_of) < 2 or len(split_of) * 2 < len(below):
        return False
    if "train" not in assigned.split_of.values() or len(every) < 2:
        return False
    _check_loose_splits(root, below, split_of)
    found.outer_folders.append(root)
    for folder in below:
        # A class without splits of its own is divided like a plain data set.
        if folder.name not in split_of:
            place = folder_layout.ClassFolder(
                folder=folder, label=folder.name, split=None
            )
            found.class_folders.append(place)
            continue
        found.outer_folders.append(folder)
        _add_class_by_split(folder, assigned, found)
    said = [f"CLASS/{n}/ is {s}" for n, s in sorted(assigned.split_of.items())]
    found.notices.append(
        f"The class folders hold splits: {class_names.join_names(said)}."
    )
    return True


def _add_class_by_split(
    folder: folder_tree.Folder,
    assigned: folder_words.SplitAssignment,
    found: folder_layout.Layout,
) -> None:
    mine: dict[str, str] = {}
    for each in folder.folders:
        split = assigned.split_of.get(each.name)
        if split in mine:
            one = mine[split]
            raise split_folders.duplicate_split_error(
                folder.path, split, one, each.name
            )
        if split:
            mine[split] = each.name
            found.class_folders.append(
                folder_layout.ClassFolder(
                    folder=each, label=folder.name, split=split
                )
            )
        elif folder_layout.holds_pictures(each):
            why = assigned.redundant.get(each.name, "no known split")
            found.mark_unused(each, why)


def _check_loose_splits(
    root: folder_tree.Folder,
    below: list[folder_tree.Folder],
    split_of: dict[str, list[str]],
) -> None:
    """Raises `DataError` where each class-like folder is a whole data set."""
    inner = [
        e
        for f in below
        if f.name in split_of
        for e in folder_layout.list_picture_folders(f)
    ]
    if all(folder_layout.list_picture_folders(each) for each in inner):
        names = class_names.join_names([f"{each.name}/" for each in below])
        first = inner[0].parent
        raise errors.DataError(
            f"{root.path} holds {names}, each with splits of class folders "
            f"in it; give one of them, e.g. --data={first.path}, or all of "
            "them as one data set with --class_level=3."
        )
