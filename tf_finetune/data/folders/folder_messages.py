"""Text about folders, for the log and for errors."""

import os
from collections.abc import Collection, Iterable, Sequence

from absl import logging

from tf_finetune.data import examples
from tf_finetune.data.folders import folder_tree, ignored_folders

NO_DATA_REASON = "a folder that holds no data"
"""Begins the reason why a folder without data is left out."""

MAX_LISTED = 10
"""Names that a message lists; the rest is counted."""


def join_names(names: Sequence[str], *, shown: int = MAX_LISTED) -> str:
    """Joins names for a sentence: "a", "a and b", "a, b and 3 more"."""
    if len(names) > shown:
        return f"{', '.join(names[:shown])} and {len(names) - shown} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def format_count(count: int, noun: str) -> str:
    """Returns a number with its noun: "1 picture", "12 pictures"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def describe_content(folder: folder_tree.Folder) -> str:
    """Returns how much lies in a folder: "12 pictures", "3 files"."""
    if folder.pictures or not folder.total:
        return format_count(folder.pictures, "picture")
    return format_count(folder.total, "file")


def warn_of_ignored(root: folder_tree.Folder, *, flag: str = "data") -> None:
    """Warns of folders that hold no data, once for each kind and name.

    Args:
        root: The folder that was listed.
        flag: Its name in messages.
    """
    kinds: dict[tuple[str, bool], list[ignored_folders.IgnoredFolder]] = {}
    for each in folder_tree.list_ignored(root):
        # "Thumbnails" may be a class, "@eaDir" may not: only letters.
        may_be_class = os.path.basename(each.path).isalpha()
        may_be_class = may_be_class and ignored_folders.describe_by_name(
            os.path.basename(each.path)
        )
        kinds.setdefault((each.what, bool(may_be_class)), []).append(each)
    for (what, may_be_class), found in kinds.items():
        paths = [make_relative(each.path, root) for each in found]
        pictures = sum(each.pictures for each in found)
        logging.log(
            logging.WARNING if pictures else logging.INFO,
            "Left out of --%s: %s (%s): %s.%s",
            flag,
            join_names(paths),
            format_count(pictures, "picture"),
            what,
            _suggest_rename(len(found)) if may_be_class else "",
        )


def _suggest_rename(count: int) -> str:
    if count == 1:
        return " Rename it if it is a class."
    return " Rename them if they are classes."


def list_dropped(
    left_out: Iterable[ignored_folders.IgnoredFolder],
) -> list[examples.DroppedFile]:
    """Returns folders without data as entries of the dropped files."""
    return [
        examples.DroppedFile(
            path=each.path,
            reason=f"{NO_DATA_REASON}: {each.what}",
            pictures=each.pictures,
        )
        for each in left_out
    ]


def make_relative(path: str, root: folder_tree.Folder) -> str:
    """Returns the path of a folder below `root`, ending with a slash."""
    return root.relative(folder_tree.Folder(path=path, name=""))


def fold_names(names: Collection[str]) -> frozenset[str]:
    """Returns case-folded names, for comparison without regard to case."""
    return frozenset(name.casefold() for name in names)
