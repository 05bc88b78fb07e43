"""Roles of the folders of a data set: classes, splits, unused."""

import dataclasses
from collections.abc import Iterable

from absl import logging

from tf_finetune.data import examples
from tf_finetune.data.folders import telling, tree, words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A class folder: all pictures in it and below are of one class."""

    folder: tree.Folder
    label: str
    split: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aside:
    """An unused folder, with the reason.

    Attributes:
        path: Of the folder.
        reason: In words that a count follows.
        content: How much lies there: "9 pictures".
        count: The number in `content`.
    """

    path: str
    reason: str
    content: str
    count: int


@dataclasses.dataclass(kw_only=True)
class Layout:
    """Class folders and unused folders of a data set.

    Attributes:
        places: The class folders.
        aside: Folders with pictures that are not used.
        outside: Folders whose own files lie outside any class folder.
        told: Sentences for the log on assumptions that were made.
    """

    places: list[Place] = dataclasses.field(default_factory=list)
    aside: list[Aside] = dataclasses.field(default_factory=list)
    outside: list[tree.Folder] = dataclasses.field(default_factory=list)
    told: list[str] = dataclasses.field(default_factory=list)

    def set_aside(self, folder: tree.Folder, reason: str) -> None:
        """Notes that the pictures of a folder are not used."""
        aside = Aside(
            path=folder.path,
            reason=reason,
            content=telling.content(folder),
            count=folder.pictures or folder.total,
        )
        self.aside.append(aside)


def dropped(aside: Iterable[Aside]) -> list[examples.Dropped]:
    """Returns unused folders as entries of the list of dropped files."""
    return [
        examples.Dropped(
            path=each.path,
            reason=f"{each.reason}: {each.content}",
            pictures=each.count,
        )
        for each in aside
    ]


def tell_of(aside: Iterable[Aside], root: tree.Folder) -> None:
    """Logs a warning for the folders that are not used, by reason."""
    reasons: dict[str, list[Aside]] = {}
    for each in aside:
        reasons.setdefault(each.reason, []).append(each)
    for reason, found in reasons.items():
        said = [
            f"{telling.relative(each.path, root)} ({each.content})"
            for each in found
        ]
        are = "is" if len(found) == 1 else "are"
        logging.warning(
            "%s %s not used: %s.", telling.listed(said), are, reason
        )


def is_live(folder: tree.Folder) -> bool:
    """Tells if pictures lie in a folder or below.

    Where a data set holds no picture at all, any file counts as one, so that
    what is said of the files is said of the right folders.
    """
    return bool(folder.pictures if _has_pictures(folder) else folder.total)


def live(folder: tree.Folder) -> list[tree.Folder]:
    """Returns the subfolders that hold pictures, in them or below."""
    return [each for each in folder.folders if is_live(each)]


def is_loose(folder: tree.Folder) -> bool:
    """Tells if a folder itself holds pictures; files count as in `is_live`."""
    return bool(folder.own if _has_pictures(folder) else folder.files)


def holds_classes(folder: tree.Folder) -> bool:
    """Tells if class folders lie in a folder, or in wrappers in it.

    One folder of pictures whose name says nothing (images/, or that of the
    folder around it) is no class.
    """
    folder = level_of_classes(folder)
    below = live(folder)
    # Several folders, or one that holds further folders: classes.
    if len(below) != 1 or not is_loose(below[0]) or live(below[0]):
        return bool(below)
    name = below[0].name
    is_wrapper = name.casefold() == folder.name.casefold()
    return not (is_wrapper or words.says_nothing(name))


def level_of_classes(folder: tree.Folder) -> tree.Folder:
    """Returns the folder that holds class folders, wrappers gone through.

    A wrapper holds nothing but one folder that holds folders:
    seg_train/seg_train/CLASS, train/images/CLASS.
    """
    # Stops at the first fork, or where pictures lie beside the only folder.
    while len(below := live(folder)) == 1 and not is_loose(folder):
        if not live(below[0]) or is_loose(below[0]):
            break
        folder = below[0]
    return folder


def way(top: tree.Folder, level: tree.Folder) -> list[tree.Folder]:
    """Returns the folders from `top` down to `level`, both included."""
    found = [level]
    while found[-1] is not top:
        found.append(found[-1].parent)
    return found[::-1]


def _has_pictures(folder: tree.Folder) -> bool:
    # Decided by the whole data set, so that all its folders count alike.
    while folder.parent is not None:
        folder = folder.parent
    return bool(folder.pictures)
