"""Advice for tables whose names do not lead to files."""

import collections
import os
import pathlib
import shlex
from collections.abc import Iterator, Sequence

from tf_finetune.data.tables import file_locator

# Bounds on the search: names tried, files visited, levels of folders.
_MAX_TRIED = 200
_MAX_SHOWN = 5
_MAX_FILES = 50_000
_MAX_DEPTH = 6
# Of what lies around the table's folder, which may be anything.
_MAX_FILES_AROUND = 2_000
_MAX_DEPTH_AROUND = 2


def advise_paths(
    locator: file_locator.Locator,
    missing: Sequence[str],
    *,
    any_root: bool = True,
) -> str:
    """Returns advice on where similar files exist and how to name them.

    Searches the folders that the names start from, of the table and around it,
    within bounds on their depth and the number of files.

    Args:
        locator: The search that did not find them.
        missing: Names from the table that were not found, at least one.
        any_root: Whether --image_root may be advised; not if the other names of
            the table are found where they are.

    Returns:
        One or two sentences for an error or a warning; never empty.
    """
    tried = [n for n in missing[:_MAX_TRIED] if not file_locator.is_address(n)]
    if not tried:
        return (
            f"The names are URLs, such as {missing[0].strip()!r}; download "
            "them first and name the files in the table."
        )
    below = {locator.root, locator.table.parent}
    for folder in _list_search_folders(locator):
        by_name = _index_files(folder, is_around=folder not in below)
        for name in tried:
            if near := _find_similar(name, by_name):
                if len(near) > 1:
                    return _describe_ambiguity(near, locator, any_root=any_root)
                roots = tried if any_root else []
                return _describe_fix(name, near[0], locator, roots)
    if not any_root:
        return f"No file of that name lies in or below {locator.root}."
    return (
        f"No file of that name lies in or below {locator.root}; --image_root "
        "names the folder that the names in the table start from."
    )


def _list_search_folders(locator: file_locator.Locator) -> list[pathlib.Path]:
    """Returns the folders that are searched, each once, the nearest first."""
    table = locator.table.parent.absolute()
    # Relative ones stay so: advice is read where the command was typed.
    found = [locator.root, locator.table.parent]
    if table.parent != table and len(table.parts) > 2:
        found.append(
            pathlib.Path(
                os.path.normpath(os.path.join(locator.table.parent, ".."))
            )
        )
    # Reversed twice: of equal folders the first is kept, in its place.
    unique = {os.path.realpath(each): each for each in reversed(found)}
    return [each for each in reversed(unique.values()) if each.is_dir()]


def _index_files(
    folder: pathlib.Path, *, is_around: bool
) -> dict[str, list[str]]:
    """Returns files by folded name and by folded stem, hidden ones left out."""
    found = collections.defaultdict(list)
    for path in _walk_files(folder, is_around=is_around):
        name = os.path.basename(path)
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in file_locator.SUFFIXES:
            found[file_locator.fold_name(name)].append(path)
            found[file_locator.fold_name(stem)].append(path)
    return found


def _walk_files(folder: pathlib.Path, *, is_around: bool) -> Iterator[str]:
    deep = _MAX_DEPTH_AROUND if is_around else _MAX_DEPTH
    left = _MAX_FILES_AROUND if is_around else _MAX_FILES
    depth = len(folder.parts)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if not n.startswith("."))
        if len(pathlib.Path(place).parts) - depth >= deep:
            folders.clear()
        # Folders count as well: a tree may be of folders alone.
        left -= len(names) + 1
        if left < 0:
            return
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.join(place, name)


def _find_similar(name: str, by_name: dict[str, list[str]]) -> list[str]:
    """Returns files that are called like the last part of a name.

    Of several those whose folders have most of the name's last folders.
    """
    parts = file_locator.split_parts(name)
    if not parts:
        return []
    last = file_locator.fold_name(parts[-1])
    stem = os.path.splitext(last)[0]
    found = by_name.get(last) or by_name.get(stem) or []
    common = {path: _count_common(parts[:-1], path) for path in found}
    most = max(common.values(), default=0)
    return [path for path in dict.fromkeys(found) if common[path] == most]


def _count_common(folders: Sequence[str], path: str) -> int:
    """Returns how many of the last folders a name and a file share."""
    theirs = pathlib.PurePath(path).parent.parts
    pairs = zip(reversed(folders), reversed(theirs), strict=False)
    alike = [
        file_locator.fold_name(one) == file_locator.fold_name(two)
        for one, two in pairs
    ]
    return (*alike, False).index(False)


def _describe_ambiguity(
    near: Sequence[str], locator: file_locator.Locator, *, any_root: bool
) -> str:
    """Returns a sentence on several files that match, and how to choose."""
    shown = [
        os.path.relpath(e, locator.table.parent) for e in near[:_MAX_SHOWN]
    ]
    more = (
        f" and {len(near) - _MAX_SHOWN} more" if len(near) > _MAX_SHOWN else ""
    )
    choice = " or give it as --image_root" if any_root else ""
    return (
        f"{len(near)} files match: {', '.join(shown)}{more}. Write the folder "
        f"into the names, relative to {locator.root},{choice}."
    ).replace(",.", ".")


def _describe_fix(
    name: str, near: str, locator: file_locator.Locator, tried: Sequence[str]
) -> str:
    """Returns a sentence with the file that exists and how to reach it."""
    shown = os.path.relpath(near, locator.table.parent)
    root = _find_root(name, near)
    if root and tried:
        other = file_locator.Locator(locator.table, root, tried)
        found = sum(other.exists(each) for each in tried)
        # Advice for all names must help most of them.
        if 2 * found > len(tried):
            of = (
                f"{found} of {len(tried)} such names are"
                if (len(tried) > 1)
                else "the name is"
            )
            return (
                f"{shown} exists: with --image_root={shlex.quote(root)} {of} "
                "found."
            )
    right = os.path.relpath(near, locator.root)
    return (
        f"{shown} exists: names are relative to {locator.root}, so write "
        f"{right!r} in place of {name!r}."
    )


def _find_root(name: str, near: str) -> str:
    """Returns the folder in which a name would mean a file; empty if none."""
    parts = file_locator.split_parts(name)
    folders = pathlib.PurePath(near).parent
    for part in reversed(parts[:-1]):
        if file_locator.fold_name(folders.name) != file_locator.fold_name(part):
            # Names of another computer begin with folders that are not here.
            return str(folders) if file_locator.is_absolute(name) else ""
        folders = folders.parent
    return str(folders)
