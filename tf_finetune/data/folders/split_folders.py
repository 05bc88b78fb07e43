"""Recognition of the folders that are splits of a data set."""

import dataclasses

from tf_finetune import errors
from tf_finetune.data import class_names
from tf_finetune.data.folders import folder_layout, folder_tree, folder_words

_UNLABELED_TEXT = (
    "pred predict prediction predictions inference infer unlabeled unlabelled "
    "unsup unsupervised extra additional submission demo"
)
_UNLABELED_WORDS = frozenset(_UNLABELED_TEXT.split())
"""What people call folders of pictures without a class beside splits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitFolders:
    """The folders of the splits, each once, and those beside them.

    Attributes:
        folders: Folder by split (one of `examples.SPLITS`); without "train"
            there is only data to evaluate on.
        redundant: Reason by folder name, of folders called like a split that
            another folder is already; they are not used.
        others: Folders with pictures that are not called like splits.
    """

    folders: dict[str, folder_tree.Folder]
    redundant: dict[str, str]
    others: list[folder_tree.Folder]


def find_splits(root: folder_tree.Folder) -> SplitFolders | None:
    """Finds the folders in a folder that are splits.

    A folder called "train" may be a class, of trains: it is one if it holds no
    class folders, or if folders beside it, called otherwise, hold class folders
    of other names than its own (splits repeat each other's class names).

    Args:
        root: The tree of the data set's folder.

    Returns:
        None if the folders in it are classes.

    Raises:
        DataError: Two folders mean the same split, there is no folder to train
            on, or splits and classes cannot be told apart.
    """
    called = _select_folders(root)
    # A split holds class folders; a class called "train" holds pictures.
    nested = [
        each for each in called if folder_layout.holds_class_folders(each)
    ]
    assigned = folder_words.assign_splits(each.name for each in called)
    trains = [e for e in nested if assigned.split_of.get(e.name) == "train"]
    others = [
        e for e in folder_layout.list_picture_folders(root) if e not in called
    ]
    if nested and not trains and not others:  # Enough to evaluate on.
        folders = _map_splits(root, called, assigned)
        return SplitFolders(
            folders=folders, redundant=dict(assigned.redundant), others=[]
        )
    if not trains:
        _check_flat(root, called, others, assigned)
        return None
    if _are_classes(root, trains, called, others):
        return None
    folders = _map_splits(root, called, assigned)
    # Training pictures only: the held-out split may be called otherwise.
    if len(folders) == 1:
        _check_unnamed_split(root, folders["train"], others)
    return SplitFolders(
        folders=folders, redundant=dict(assigned.redundant), others=others
    )


def _map_splits(
    root: folder_tree.Folder,
    called: list[folder_tree.Folder],
    assigned: folder_words.SplitAssignment,
) -> dict[str, folder_tree.Folder]:
    """Returns the folder of each split.

    Raises:
        DataError: Two folders mean the same split.
    """
    folders: dict[str, folder_tree.Folder] = {}
    for each in called:
        split = assigned.split_of.get(each.name)
        if split in folders:
            raise duplicate_split_error(
                root.path, split, folders[split].name, each.name
            )
        if split:
            folders[split] = each
    return folders


def duplicate_split_error(
    path: str, split: str, one: str, other: str
) -> errors.DataError:
    """Returns, without raising it, the error of two folders for one split.

    Args:
        path: Path of the folder that holds both.
        split: The split that both mean.
        one: Name of one folder.
        other: Name of the other folder.
    """
    return errors.DataError(
        f"{path} holds two folders for the {split} split, {one}/ and "
        f"{other}/; remove one, or move its pictures into the other."
    )


def list_class_names(folder: folder_tree.Folder) -> frozenset[str]:
    """Returns the case-folded names of the class folders in a split folder."""
    level = folder_layout.find_class_level(folder)
    return folder_words.fold_names(
        [each.name for each in folder_layout.list_picture_folders(level)]
    )


def _select_folders(root: folder_tree.Folder) -> list[folder_tree.Folder]:
    """Returns the folders that are called like splits."""
    by_name = {each.name: each for each in root.folders}
    sure = [by_name[name] for name in folder_words.select_split_names(by_name)]
    doubtful = [
        each
        for each in root.folders
        if each not in sure and folder_words.parse_name(each.name).split
    ]
    # "chest_test" beside train/: what lies in it tells.
    names = {each.name: list_class_names(each) for each in sure + doubtful}
    shared = [
        each
        for each in doubtful
        if any(names[each.name] & names[e.name] for e in sure + doubtful
               if e is not each)
    ]  # fmt: skip
    return [each for each in root.folders if each in sure + shared]


def _are_classes(
    root: folder_tree.Folder,
    trains: list[folder_tree.Folder],
    called: list[folder_tree.Folder],
    others: list[folder_tree.Folder],
) -> bool:
    """Tells if folders called like splits are classes among others.

    Raises:
        DataError: That cannot be told.
    """
    inner = list_class_names(trains[0])
    beside = [each for each in called if each not in trains]
    # Splits repeat each other's class names; classes do not.
    if any(inner & list_class_names(each) for each in beside) or not others:
        return False
    unlike = [
        e
        for e in others
        if folder_layout.list_picture_folders(e)
        and not list_class_names(e) & inner
    ]
    unlike = [e for e in unlike if not _repeats_siblings(e, root)]
    loose = [
        e
        for e in others
        if not folder_layout.list_picture_folders(e)
        and not has_unlabeled_name(e.name)
    ]
    # Beside folders of pictures alone only the vehicle is likely a class.
    if trains[0].name.casefold() != "train":
        loose = []
    live_beside = [
        each for each in beside if folder_layout.holds_pictures(each)
    ]
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


def _repeats_siblings(
    folder: folder_tree.Folder, root: folder_tree.Folder
) -> bool:
    """Tells if a folder holds folders with the names of its siblings."""
    beside = folder_words.fold_names(
        [e.name for e in root.folders if e is not folder]
    )
    return bool(
        folder_words.fold_names(
            [e.name for e in folder_layout.list_picture_folders(folder)]
        )
        & beside
    )


def has_unlabeled_name(name: str) -> bool:
    """Tells if a folder's name says that its pictures have no label.

    It does if any word is one such as "pred" or "unlabeled", or if all words
    are general ("images") or numbers.
    """
    known = any(
        word in _UNLABELED_WORDS for word in folder_words.split_words(name)
    )
    return known or folder_words.has_only_fillers(name)


def _check_flat(
    root: folder_tree.Folder,
    called: list[folder_tree.Folder],
    others: list[folder_tree.Folder],
    assigned: folder_words.SplitAssignment,
) -> None:
    """Raises `DataError` for splits whose pictures lie in no class folder."""
    plain = [e for e in called if folder_layout.holds_pictures(e)]
    trains = [e for e in plain if assigned.split_of.get(e.name) == "train"]
    others = [each for each in others if not has_unlabeled_name(each.name)]
    is_split = len(plain) > len(trains) and trains
    # "train" and nothing else: no vehicle beside vehicles.
    is_split = is_split and folder_words.parse_name(trains[0].name).is_plain
    if trains and (not others or is_split):
        raise errors.DataError(
            f"{_describe_flat(plain)} Make a folder for each class, e.g. "
            f"{trains[0].path}/cats/1.jpg, or name the classes in a table "
            "(a .csv file with the columns image, label and split)."
            + _suggest_class_level(plain)
        )
    if plain and not others:
        names = ", ".join(f"{each.name}/" for each in plain)
        raise errors.DataError(
            f"{root.path} holds {names} but no train/ with one folder per "
            f"class.{_suggest_class_level(plain)}"
        )


def _describe_flat(folders: list[folder_tree.Folder]) -> str:
    flat = [
        each for each in folders if not folder_layout.holds_class_folders(each)
    ]
    if len(flat) == 1:
        amount = flat[0].describe_content()
        return f"{flat[0].name}/ holds {amount} and no class folder."
    said = [f"{each.name}/ ({each.describe_content()})" for each in flat]
    return f"{class_names.join_names(said)} hold no class folder."


def _suggest_class_level(folders: list[folder_tree.Folder]) -> str:
    if len(folders) < 2:
        return ""
    names = class_names.join_names([f"{each.name}/" for each in folders])
    return f" If {names} are classes, give --class_level=1."


def _check_unnamed_split(
    root: folder_tree.Folder,
    train: folder_tree.Folder,
    others: list[folder_tree.Folder],
) -> None:
    """Raises `DataError` for a folder that may be the held-out split."""
    inner = list_class_names(train)
    for each in others:
        shared = sorted(inner & list_class_names(each))
        if shared and not has_unlabeled_name(each.name):
            raise errors.DataError(
                f"{root.path} holds {train.name}/ and {each.name}/ with "
                "folders of the same names "
                f"({class_names.join_names(shared)}), "
                f"as splits have. Call {each.name}/ validation/ or test/ if it "
                "is one, or move it elsewhere; if both are classes, give "
                "--class_level=1."
            )
