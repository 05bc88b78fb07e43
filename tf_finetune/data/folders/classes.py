"""Interpretation of a folder tree as class folders, with or without splits."""

import os

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.data.folders import (
    inner_splits,
    layout,
    pairing,
    refusals,
    roles,
    splitting,
    telling,
    tree,
    words,
)

_COPY = "its folders have the names of those beside it"
_OUTSIDE = "outside any class folder"


def understand(root: tree.Folder, *, level: int | None = None) -> layout.Layout:
    """Returns which folders are classes and which are splits.

    Args:
        root: What was given as the data.
        level: How many levels below it the class folders lie; None: found
            out.

    Raises:
        DataError: There is no class folder, or it cannot be told what the
            folders are.
    """
    found = layout.Layout()
    if level is not None:
        _at_level(root, level, found)
    else:
        # Masks first: images/ and masks/ would pass for two classes.
        pairing.refuse_as_classes(root)
        splits = splitting.find(root)
        if splits:
            _add_splits(root, splits, found)
        else:
            refusals.check_meant(root)
            if not inner_splits.add(root, found):
                _add_classes(root, root, None, found)
    if not found.places and level is not None:
        raise errors.DataError(
            f"--class_level={level}: {root.path} has no folders that deep."
        )
    if not found.places:
        raise _no_classes(root)
    _tell_of_depth(root, found)
    return found


def _add_splits(
    root: tree.Folder, splits: splitting.Splits, found: layout.Layout
) -> None:
    """Adds the classes of every split, and reports the folders beside them."""
    found.outside.append(root)
    # Folders beside the splits are compared with the training split's classes.
    first = splits.folders.get("train") or next(iter(splits.folders.values()))
    train = splitting.inner_names(first)
    told = []
    in_order = [each for each in examples.SPLITS if each in splits.folders]
    for split in in_order:
        folder = splits.folders[split]
        folder.check_readable()
        level = layout.level_of_classes(folder)
        if layout.is_live(folder) and not layout.holds_classes(folder):
            found.set_aside(folder, "no class folder in it")
            continue
        found.outside.extend(layout.way(folder, level))
        refusals.check_no_splits_inside(level)
        _add_classes(root, level, split, found)
        # Only names that leave a doubt are worth a line in the log.
        word = root.relative(level)[:-1].lower()
        if word == words.JOINED or len(words.SPLITS.get(word, ())) != 1:
            told.append(f"{root.relative(level)} is the {split} split")
    if told:
        found.told.append(f"{telling.listed(told)}.")
    # Folders beside the splits, from the clearest reason to the vaguest.
    for name, why in splits.beyond.items():
        folder = next(each for each in root.folders if each.name == name)
        if layout.is_live(folder):
            found.set_aside(folder, why)
    for folder in splits.others:
        inner = splitting.inner_names(folder)
        beside = [e.name for e in root.folders if e is not folder]
        if inner & telling.same(beside):
            reason = _COPY
        elif inner & train:
            reason = "it has the folders of the splits, but no split's name"
        else:
            reason = _OUTSIDE
        found.set_aside(folder, reason)
    used = [*splits.folders.values(), *splits.others]
    rest = [e for e in root.folders if e not in used]
    rest = [e for e in rest if e.name not in splits.beyond]
    for folder in rest:
        if not folder.is_leftover:
            found.set_aside(folder, _OUTSIDE)


def _add_classes(
    root: tree.Folder,
    level: tree.Folder,
    split: str | None,
    found: layout.Layout,
) -> None:
    """Adds every folder in `level` as a class, except copies of others."""
    level.check_readable()
    if level not in found.outside:
        found.outside.append(level)
    copies = _copies(level)
    for folder in copies:
        found.set_aside(folder, _COPY)
    rest = [e for e in level.folders if e not in copies and not e.is_leftover]
    refusals.check_same_sets(root, level, rest)
    for folder in rest:
        folder.check_readable()
        place = layout.Place(folder=folder, label=folder.name, split=split)
        found.places.append(place)
    names = telling.same([each.name for each in rest])
    for folder in rest:
        for each in layout.live(folder):
            own = each.name.casefold()
            if own in names and own != folder.name.casefold():
                found.set_aside(each, "it has the name of another class")


def _copies(level: tree.Folder) -> list[tree.Folder]:
    """Returns copies: folders whose subfolders have the names of siblings."""
    below = layout.live(level)
    names = telling.same([each.name for each in below])
    found = []
    for folder in below:
        inner = telling.same([each.name for each in layout.live(folder)])
        beside = names - {folder.name.casefold()}
        # A copy of the data set inside itself, as archives that hold their own
        # folder leave it: flowers/flowers/daisy beside flowers/daisy.
        covers = inner <= names or beside <= inner
        if len(inner & beside) > 1 and covers and not layout.is_loose(folder):
            found.append(folder)
    return found


def _at_level(root: tree.Folder, level: int, found: layout.Layout) -> None:
    """Adds the folders of one level as classes, splits above them read."""
    above = [(root, "")]
    for _ in range(level - 1):
        found.outside.extend(folder for folder, _ in above)
        above = [
            (each, _split_at(folder, each, split))
            for folder, split in above
            for each in folder.folders
            if not each.is_leftover
        ]
    found.outside.extend(folder for folder, _ in above)
    found.places.extend(
        layout.Place(folder=each, label=each.name, split=split or None)
        for folder, split in above
        for each in folder.folders
        if not each.is_leftover
    )


def _split_at(parent: tree.Folder, folder: tree.Folder, above: str) -> str:
    names = [each.name for each in parent.folders]
    # The uppermost folder that names a split decides.
    if above or folder.name not in roles.named(names):
        return above
    called = roles.assign(roles.named(names))
    return called.split_of.get(folder.name, "")


def _tell_of_depth(root: tree.Folder, found: layout.Layout) -> None:
    """Reports folders inside class folders, whose names are not used."""
    aside = {each.path for each in found.aside}
    said = []
    count = 0
    for place in found.places:
        inner = [e for e in layout.live(place.folder) if e.path not in aside]
        inner = [e for e in inner if e.name != place.label]
        if not inner:
            continue
        # Files where the data set holds no recognizable picture.
        count += sum(each.pictures or each.total for each in inner)
        # Three names show which kind of folders they are.
        names = telling.listed([each.name for each in inner], shown=3)
        said.append(f"{root.relative(place.folder)} ({names})")
    if said:
        found.told.append(
            "Folders inside class folders do not name classes: "
            f"{telling.counted(count, 'picture')} in folders below "
            f"{telling.listed(said)} belong to the enclosing class."
        )


def _no_classes(root: tree.Folder) -> errors.DataError:
    tables = [f for f in root.files if f.lower().endswith((".csv", ".tsv"))]
    hint = ""
    if tables:
        table = os.path.join(root.path, tables[0])
        hint = f" --data={table} reads its table."
    amount = ""
    if root.own:
        amount = f"{telling.counted(root.own, 'picture')} and "
    return errors.DataError(
        f"{root.path} holds {amount}no folder per class, e.g. "
        f"{os.path.join(root.path, 'cats')}/1.jpg.{hint}"
    )
