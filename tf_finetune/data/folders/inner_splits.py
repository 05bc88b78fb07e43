"""Splits inside class folders: CLASS/train, CLASS/val."""

from tf_finetune import errors
from tf_finetune.data.folders import layout, roles, splitting, telling, tree


def add(root: tree.Folder, found: layout.Layout) -> bool:
    """Adds the classes with their splits if most class folders hold splits.

    Returns:
        Whether they do.

    Raises:
        DataError: Two folders of a class mean the same split, or each folder
            is a data set of its own.
    """
    below = layout.live(root)
    split_of: dict[str, list[str]] = {}
    for folder in below:
        inner = layout.live(folder)
        names = roles.named([each.name for each in inner])
        are_splits = len(names) == len(inner) or len(names) > 1
        if inner and are_splits and not layout.is_loose(folder):
            split_of[folder.name] = names
    every = {name for names in split_of.values() for name in names}
    assigned = roles.assign(sorted(every))
    # Most classes must be divided, or it is chance that one holds train/.
    if len(split_of) < 2 or len(split_of) * 2 < len(below):
        return False
    if "train" not in assigned.split_of.values() or len(every) < 2:
        return False
    _check_loose_splits(root, below, split_of)
    found.outside.append(root)
    for folder in below:
        # A class without splits of its own is divided like a plain data set.
        if folder.name not in split_of:
            place = layout.Place(folder=folder, label=folder.name, split=None)
            found.places.append(place)
            continue
        found.outside.append(folder)
        _add_class_by_split(folder, assigned, found)
    said = [f"CLASS/{n}/ is {s}" for n, s in sorted(assigned.split_of.items())]
    found.told.append(f"The class folders hold splits: {telling.listed(said)}.")
    return True


def _add_class_by_split(
    folder: tree.Folder, assigned: roles.Roles, found: layout.Layout
) -> None:
    mine: dict[str, str] = {}
    for each in folder.folders:
        split = assigned.split_of.get(each.name)
        if split in mine:
            one = mine[split]
            raise splitting.two_folders(folder.path, split, one, each.name)
        if split:
            mine[split] = each.name
            found.places.append(
                layout.Place(folder=each, label=folder.name, split=split)
            )
        elif layout.is_live(each):
            why = assigned.beyond.get(each.name, "no known split")
            found.set_aside(each, why)


def _check_loose_splits(
    root: tree.Folder,
    below: list[tree.Folder],
    split_of: dict[str, list[str]],
) -> None:
    """Raises `DataError` where each class-like folder is a whole data set."""
    inner = [e for f in below if f.name in split_of for e in layout.live(f)]
    if all(layout.live(each) for each in inner):
        names = telling.listed([f"{each.name}/" for each in below])
        first = inner[0].parent
        raise errors.DataError(
            f"{root.path} holds {names}, each with splits of class folders "
            f"in it; give one of them, e.g. --data={first.path}, or all of "
            "them as one data set with --class_level=3."
        )
