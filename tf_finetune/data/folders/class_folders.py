"""Interpretation of a folder tree as class folders, with or without splits."""

import os

from tf_finetune import errors
from tf_finetune.data import class_names, examples
from tf_finetune.data.folders import (
    folder_layout,
    folder_tree,
    folder_words,
    mask_folders,
    split_folders,
    splits_in_classes,
)

_COPY_REASON = "its folders have the names of those beside it"
_OUTSIDE_REASON = "outside any class folder"


def find_class_folders(
    root: folder_tree.Folder, *, level: int | None = None
) -> folder_layout.Layout:
    """Finds out which folders of a tree are classes and which are splits.

    Args:
        root: The tree of the folder that was given as --data.
        level: How many levels below `root` the class folders lie (1: directly
            in it); None: detected from names and contents.

    Returns:
        The class folders with their splits, at least one; unused folders, with
        reasons; and sentences for the log on assumptions that were made.

    Raises:
        DataError: There is no class folder, several interpretations are
            possible, the folders hold pictures and masks, or a folder cannot be
            read.
    """
    found = folder_layout.Layout()
    if level is not None:
        _add_level(root, level, found)
    else:
        # Masks first: images/ and masks/ would pass for two classes.
        if _names_masks(root):
            mask_folders.check_not_mask_pairs(root)
        splits = split_folders.find_splits(root)
        if splits:
            _add_splits(root, splits, found)
        else:
            folder_layout.check_data_path(root)
            is_nested = any(each.folders for each in root.folders)
            if not (is_nested and splits_in_classes.add_classes(root, found)):
                _add_classes(root, root, None, found)
    if not found.class_folders and level is not None:
        raise errors.DataError(
            f"--class_level={level}: {root.path} has no folders that deep."
        )
    if not found.class_folders:
        raise _no_classes_error(root)
    _report_nested_folders(root, found)
    return found


def _names_masks(root: folder_tree.Folder) -> bool:
    """Tells if a folder or a file may be called after masks."""
    return any(
        folder_words.has_mask_word(name)
        for folder in root.walk()
        for name in (folder.name, *folder.files)
    )


def _add_splits(
    root: folder_tree.Folder,
    splits: split_folders.SplitFolders,
    found: folder_layout.Layout,
) -> None:
    """Adds the classes of every split, and reports the folders beside them."""
    found.outer_folders.append(root)
    told = []
    in_order = [each for each in examples.SPLITS if each in splits.folders]
    for split in in_order:
        folder = splits.folders[split]
        folder.check_readable()
        level = folder_layout.find_class_level(folder)
        if folder_layout.holds_pictures(
            folder
        ) and not folder_layout.holds_class_folders(folder):
            found.mark_unused(folder, "no class folder in it")
            continue
        found.outer_folders.extend(folder_layout.list_path(folder, level))
        folder_layout.check_no_splits_inside(level)
        _add_classes(root, level, split, found)
        # Only names that leave a doubt are worth a line in the log.
        word = root.relative(level.path)[:-1].lower()
        if (
            word == folder_words.TRAIN_AND_VALIDATION
            or len(folder_words.SPLITS.get(word, ())) != 1
        ):
            told.append(f"{root.relative(level.path)} is the {split} split")
    if told:
        found.notices.append(f"{class_names.join_names(told)}.")
    # Folders beside the splits are compared with the training split's classes.
    first = splits.folders.get("train") or next(iter(splits.folders.values()))
    train = split_folders.list_class_names(first)
    _mark_beside(root, splits, train, found)


def _mark_beside(
    root: folder_tree.Folder,
    splits: split_folders.SplitFolders,
    train: frozenset[str],
    found: folder_layout.Layout,
) -> None:
    """Marks the folders beside the splits as unused.

    From the clearest reason to the vaguest.

    Args:
        root: The folder that holds the splits.
        splits: Its splits.
        train: Names of the training split's class folders, case-folded.
        found: Where they are marked.
    """
    for name, why in splits.redundant.items():
        folder = next(each for each in root.folders if each.name == name)
        if folder_layout.holds_pictures(folder):
            found.mark_unused(folder, why)
    for folder in splits.others:
        inner = split_folders.list_class_names(folder)
        beside = [e.name for e in root.folders if e is not folder]
        if inner & folder_words.fold_names(beside):
            reason = _COPY_REASON
        elif inner & train:
            reason = "it has the folders of the splits, but no split's name"
        else:
            reason = _OUTSIDE_REASON
        found.mark_unused(folder, reason)
    used = [*splits.folders.values(), *splits.others]
    rest = [e for e in root.folders if e not in used]
    rest = [e for e in rest if e.name not in splits.redundant]
    for folder in rest:
        if not folder.has_no_data:
            found.mark_unused(folder, _OUTSIDE_REASON)


def _add_classes(
    root: folder_tree.Folder,
    level: folder_tree.Folder,
    split: str | None,
    found: folder_layout.Layout,
) -> None:
    """Adds every folder in `level` as a class, except copies of others."""
    level.check_readable()
    if level not in found.outer_folders:
        found.outer_folders.append(level)
    copies = _find_copies(level)
    for folder in copies:
        found.mark_unused(folder, _COPY_REASON)
    rest = [e for e in level.folders if e not in copies and not e.has_no_data]
    folder_layout.check_repeated_names(root, level, rest)
    for folder in rest:
        folder.check_readable()
        place = folder_layout.ClassFolder(
            folder=folder, label=folder.name, split=split
        )
        found.class_folders.append(place)
    names = folder_words.fold_names([each.name for each in rest])
    for folder in rest:
        for each in folder_layout.list_picture_folders(folder):
            own = each.name.casefold()
            if own in names and own != folder.name.casefold():
                found.mark_unused(each, "it has the name of another class")


def _find_copies(level: folder_tree.Folder) -> list[folder_tree.Folder]:
    """Returns copies: folders whose subfolders have the names of siblings."""
    below = folder_layout.list_picture_folders(level)
    names = folder_words.fold_names([each.name for each in below])
    found = []
    for folder in below:
        inner = folder_words.fold_names(
            [each.name for each in folder_layout.list_picture_folders(folder)]
        )
        beside = names - {folder.name.casefold()}
        # A copy of the data set inside itself, as archives that hold their own
        # folder leave it: flowers/flowers/daisy beside flowers/daisy.
        covers = inner <= names or beside <= inner
        if (
            len(inner & beside) > 1
            and covers
            and not folder_layout.holds_loose_pictures(folder)
        ):
            found.append(folder)
    return found


def _add_level(
    root: folder_tree.Folder, level: int, found: folder_layout.Layout
) -> None:
    """Adds the folders of one level as classes, splits above them read."""
    above = [(root, "")]
    for _ in range(level - 1):
        found.outer_folders.extend(folder for folder, _ in above)
        above = [
            (each, _find_split(folder, each, split))
            for folder, split in above
            for each in folder.folders
            if not each.has_no_data
        ]
    found.outer_folders.extend(folder for folder, _ in above)
    found.class_folders.extend(
        folder_layout.ClassFolder(
            folder=each, label=each.name, split=split or None
        )
        for folder, split in above
        for each in folder.folders
        if not each.has_no_data
    )


def _find_split(
    parent: folder_tree.Folder, folder: folder_tree.Folder, above: str
) -> str:
    names = [each.name for each in parent.folders]
    # The uppermost folder that names a split decides.
    if above or folder.name not in folder_words.select_split_names(names):
        return above
    called = folder_words.assign_splits(folder_words.select_split_names(names))
    return called.split_of.get(folder.name, "")


def _report_nested_folders(
    root: folder_tree.Folder, found: folder_layout.Layout
) -> None:
    """Reports folders inside class folders, whose names are not used."""
    aside = {each.path for each in found.unused_folders}
    said = []
    count = 0
    for place in found.class_folders:
        inner = [
            e
            for e in folder_layout.list_picture_folders(place.folder)
            if e.path not in aside
        ]
        inner = [e for e in inner if e.name != place.label]
        if not inner:
            continue
        # Files where the data set holds no recognizable picture.
        count += sum(each.pictures or each.total for each in inner)
        # Three names show which kind of folders they are.
        names = class_names.join_names([each.name for each in inner], shown=3)
        said.append(f"{root.relative(place.folder.path)} ({names})")
    if said:
        found.notices.append(
            "Folders inside class folders do not name classes: "
            f"{folder_tree.format_count(count, 'picture')} in folders "
            f"below {class_names.join_names(said)} belong to the enclosing "
            "class."
        )


def _no_classes_error(root: folder_tree.Folder) -> errors.DataError:
    tables = [f for f in root.files if f.lower().endswith((".csv", ".tsv"))]
    hint = ""
    if tables:
        table = os.path.join(root.path, tables[0])
        hint = f" --data={table} reads its table."
    amount = ""
    if root.own:
        amount = f"{folder_tree.format_count(root.own, 'picture')} and "
    return errors.DataError(
        f"{root.path} holds {amount}no folder per class, e.g. "
        f"{os.path.join(root.path, 'cats')}/1.jpg.{hint}"
    )
