"""Recognition of the folders that are splits of a data set."""

import dataclasses

from tf_finetune import errors
from tf_finetune.data.folders import layout, roles, telling, tree, words

_NO_CLASS_WORDS = (
    "pred predict prediction predictions inference infer unlabeled unlabelled "
    "unsup unsupervised extra additional submission demo"
)
_NO_CLASS = frozenset(_NO_CLASS_WORDS.split())
"""What people call folders of pictures without a class beside splits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Splits:
    """The folders of the splits, each once, and those beside them.

    Attributes:
        folders: By split; without "train" where nothing can be learned.
        beyond: Folders called like a split that another one is already, and
            why they are not used.
        others: Folders with pictures that are called otherwise.
    """

    folders: dict[str, tree.Folder]
    beyond: dict[str, str]
    others: list[tree.Folder]


def find(root: tree.Folder) -> Splits | None:
    """Returns the splits in a folder; None if its folders are classes.

    A class may be called "train": its folder holds no class folders, or the
    folders beside it hold others.

    Raises:
        DataError: Two folders mean the same split, there is no folder to
            train on, or it cannot be told what the folders are.
    """
    called = _called(root)
    # A split holds class folders; a class called "train" holds pictures.
    nested = [each for each in called if layout.holds_classes(each)]
    assigned = roles.assign(each.name for each in called)
    trains = [e for e in nested if assigned.split_of.get(e.name) == "train"]
    others = [e for e in layout.live(root) if e not in called]
    if nested and not trains and not others:  # Enough to evaluate on.
        folders = _by_split(root, called, assigned)
        return Splits(folders=folders, beyond=dict(assigned.beyond), others=[])
    if not trains:
        _check_flat(root, called, others, assigned)
        return None
    if _are_classes(root, trains, called, others):
        return None
    folders = _by_split(root, called, assigned)
    # Training pictures only: the held-out split may be called otherwise.
    if len(folders) == 1:
        _check_unknown(root, folders["train"], others)
    return Splits(folders=folders, beyond=dict(assigned.beyond), others=others)


def _by_split(
    root: tree.Folder, called: list[tree.Folder], assigned: roles.Roles
) -> dict[str, tree.Folder]:
    """Returns the folder of each split.

    Raises:
        DataError: Two folders mean the same split.
    """
    folders: dict[str, tree.Folder] = {}
    for each in called:
        split = assigned.split_of.get(each.name)
        if split in folders:
            raise two_folders(root.path, split, folders[split].name, each.name)
        if split:
            folders[split] = each
    return folders


def two_folders(
    path: str, split: str, one: str, other: str
) -> errors.DataError:
    """Returns the error of two folders that mean the same split."""
    return errors.DataError(
        f"{path} holds two folders for the {split} split, {one}/ and "
        f"{other}/; remove one, or move its pictures into the other."
    )


def inner_names(folder: tree.Folder) -> frozenset[str]:
    """Returns the names of the class folders in a split's folder."""
    level = layout.level_of_classes(folder)
    return telling.same([each.name for each in layout.live(level)])


def _called(root: tree.Folder) -> list[tree.Folder]:
    """Returns the folders that are called like splits."""
    by_name = {each.name: each for each in root.folders}
    sure = [by_name[name] for name in roles.named(by_name)]
    doubtful = [
        each
        for each in root.folders
        if each not in sure and words.parse(each.name).split
    ]
    # "chest_test" beside train/: what lies in it tells.
    names = {each.name: inner_names(each) for each in sure + doubtful}
    shared = [
        each
        for each in doubtful
        if any(names[each.name] & names[e.name] for e in sure + doubtful
               if e is not each)
    ]  # fmt: skip
    return [each for each in root.folders if each in sure + shared]


def _are_classes(
    root: tree.Folder,
    trains: list[tree.Folder],
    called: list[tree.Folder],
    others: list[tree.Folder],
) -> bool:
    """Tells if folders called like splits are classes among others.

    Raises:
        DataError: That cannot be told.
    """
    inner = inner_names(trains[0])
    beside = [each for each in called if each not in trains]
    # Splits repeat each other's class names; classes do not.
    if any(inner & inner_names(each) for each in beside) or not others:
        return False
    unlike = [
        e for e in others if layout.live(e) and not inner_names(e) & inner
    ]
    unlike = [e for e in unlike if not _repeats(e, root)]
    loose = [
        e for e in others if not layout.live(e) and not has_no_class(e.name)
    ]
    # Beside folders of pictures alone only the vehicle is likely a class.
    if trains[0].name.casefold() != "train":
        loose = []
    live_beside = [each for each in beside if layout.is_live(each)]
    if live_beside and not unlike:
        return False
    # Several folders that look like classes outvote one called train.
    if len(unlike) + len(loose) > 1:
        return True
    if unlike:
        one, other = trains[0], unlike[0]
        raise errors.DataError(
            f"{root.path} holds {one.name}/ and {other.name}/, and the "
            f"folders in them have different names. If {one.name}/ holds the "
            f"training pictures, move {other.name}/ elsewhere; if both are "
            "classes, give --class_level=1."
        )
    return False


def _repeats(folder: tree.Folder, root: tree.Folder) -> bool:
    """Tells if a folder holds folders with the names of its siblings."""
    beside = telling.same([e.name for e in root.folders if e is not folder])
    return bool(telling.same([e.name for e in layout.live(folder)]) & beside)


def has_no_class(name: str) -> bool:
    """Tells if a folder's name says that its pictures have no label."""
    known = any(word in _NO_CLASS for word in words.split(name))
    return known or words.says_nothing(name)


def _check_flat(
    root: tree.Folder,
    called: list[tree.Folder],
    others: list[tree.Folder],
    assigned: roles.Roles,
) -> None:
    """Raises `DataError` for splits whose pictures lie in no class folder."""
    plain = [e for e in called if layout.is_live(e)]
    trains = [e for e in plain if assigned.split_of.get(e.name) == "train"]
    others = [each for each in others if not has_no_class(each.name)]
    is_split = len(plain) > len(trains) and trains
    # "train" and nothing else: no vehicle beside vehicles.
    is_split = is_split and words.parse(trains[0].name).is_plain
    if trains and (not others or is_split):
        raise errors.DataError(
            f"{_flat(plain)} Make a folder for each class, e.g. "
            f"{trains[0].path}/cats/1.jpg, or name the classes in a table "
            "(a .csv file with the columns image, label and split)."
            + _if_classes(plain)
        )
    if plain and not others:
        names = ", ".join(f"{each.name}/" for each in plain)
        raise errors.DataError(
            f"{root.path} holds {names} but no train/ with one folder per "
            f"class.{_if_classes(plain)}"
        )


def _flat(folders: list[tree.Folder]) -> str:
    flat = [each for each in folders if not layout.holds_classes(each)]
    if len(flat) == 1:
        amount = telling.content(flat[0])
        return f"{flat[0].name}/ holds {amount} and no class folder."
    said = [f"{each.name}/ ({telling.content(each)})" for each in flat]
    return f"{telling.listed(said)} hold no class folder."


def _if_classes(folders: list[tree.Folder]) -> str:
    if len(folders) < 2:
        return ""
    names = telling.listed([f"{each.name}/" for each in folders])
    return f" If {names} are classes, give --class_level=1."


def _check_unknown(
    root: tree.Folder, train: tree.Folder, others: list[tree.Folder]
) -> None:
    """Raises `DataError` for a folder that may be the held-out split."""
    inner = inner_names(train)
    for each in others:
        if inner_names(each) & inner and not has_no_class(each.name):
            raise errors.DataError(
                f"{root.path} holds {train.name}/ and {each.name}/ with "
                f"folders of the same names "
                f"({telling.listed(sorted(inner & inner_names(each)))}), as "
                f"splits have. Call {each.name}/ validation/ or test/ if it "
                "is one, or move it elsewhere; if both are classes, give "
                "--class_level=1."
            )
