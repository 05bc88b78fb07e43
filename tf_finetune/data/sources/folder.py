"""Pictures in one folder per class, optionally under one folder per split."""

import os
import pathlib
import stat
from collections.abc import Iterator

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples, labelling

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
    "testing": "test",
}
"""What people call the splits, in lower case."""


class Folder:
    """A folder of class folders, or train/, validation/, test/ of such."""

    def recognises(self, data: str) -> bool:
        """Tells if `data` is a folder."""
        return pathlib.Path(data).expanduser().is_dir()

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: labelling.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists every file in every class folder; hidden files are dropped.

        Raises:
            DataError: It is no folder, cannot be read, or holds no class.
        """
        root = pathlib.Path(options.data).expanduser()
        if not root.is_dir():
            raise errors.DataError(f"--data={options.data} is not a folder.")
        found: list[examples.Example | examples.Dropped] = []
        classes = set()
        splits = _split_folders(root)
        if splits:
            found += _outside(root, besides=set(splits.values()))
        for split, folder in (splits or {None: root}).items():
            found += _outside(folder, besides=set(folders_in(folder)))
            for class_folder in folders_in(folder):
                classes.add(class_folder.name)
                found += _class_files(class_folder, split, (root, folder))
        if not classes:
            raise _no_classes(root)
        return examples.Listing(
            examples=tuple(e for e in found if isinstance(e, examples.Example)),
            dropped=tuple(e for e in found if isinstance(e, examples.Dropped)),
            class_names=class_names.ordered(classes),
        )


SOURCE = Folder()


def folders_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders in a folder, sorted by name, hidden ones left out.

    Raises:
        DataError: The folder cannot be read.
    """
    return [
        path
        for path in _entries(folder)
        if os.path.isdir(path) and not path.name.startswith(".")
    ]


def files_under(top: pathlib.Path) -> Iterator[tuple[str, str | None]]:
    """Yields every file under a folder, and why it cannot be listed.

    Each folder is entered once, so that links that lead back end.

    Raises:
        DataError: A folder cannot be read.
    """
    yield from _walk(top, {_identity(top)})


def _split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the folder of each split; empty if classes lie in the root.

    Raises:
        DataError: Two folders mean the same split, or only train/ is missing.
    """
    folders = folders_in(root)
    splits: dict[str, pathlib.Path] = {}
    for folder in folders:
        split = SPLIT_WORDS.get(folder.name.lower())
        if split in splits:
            raise errors.DataError(
                f"{root} holds two folders for the {split} split, "
                f"{splits[split].name}/ and {folder.name}/; remove one."
            )
        if split:
            splits[split] = folder
    # A class may be called "train" (the vehicle): its folder holds files.
    if "train" in splits and folders_in(splits["train"]):
        return splits
    if splits and len(splits) == len(folders):
        names = ", ".join(f"{folder.name}/" for folder in folders)
        raise errors.DataError(
            f"{root} holds {names} but no train/ with one folder per class."
        )
    return {}


def _entries(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns what lies in a folder, sorted by name.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except OSError as error:
        raise errors.DataError(
            f"The folder {folder} cannot be read: {error.strerror}."
        ) from error


def _outside(
    folder: pathlib.Path, besides: set[pathlib.Path]
) -> Iterator[examples.Dropped]:
    """Yields what lies beside the class or split folders."""
    for path in _entries(folder):
        if path in besides:
            continue
        reason = _unlistable(path) or "lies outside any class folder"
        yield examples.Dropped(path=str(path), reason=reason)


def _class_files(
    class_folder: pathlib.Path,
    split: str | None,
    parents: tuple[pathlib.Path, ...],
) -> list[examples.Example | examples.Dropped]:
    """Returns everything in a class folder, sorted by path."""
    label = class_folder.name
    found: list[examples.Example | examples.Dropped] = []
    seen = {_identity(folder) for folder in (*parents, class_folder)}
    for path, reason in _walk(class_folder, seen):
        if reason:
            found.append(examples.Dropped(path=path, reason=reason))
        else:
            found.append(examples.Example(path=path, label=label, split=split))
    found.sort(key=lambda each: each.path)
    if not any(isinstance(each, examples.Example) for each in found):
        reason = "a class folder without pictures"
        found.append(examples.Dropped(path=str(class_folder), reason=reason))
    return found


def _walk(
    top: pathlib.Path, seen: set[tuple[int, int]]
) -> Iterator[tuple[str, str | None]]:
    """Yields every file under a folder, and why it cannot be listed.

    Args:
        top: Where to look.
        seen: Folders that links may not lead back into; grows, so that each
            folder is entered once and loops end.
    """
    pending = [top]
    while pending:
        folder = pending.pop()
        for path in _entries(folder):
            reason = _unlistable(path) or _unenterable(path, seen)
            if reason or not os.path.isdir(path):
                yield str(path), reason
            else:
                seen.add(_identity(path))
                pending.append(path)


def _unenterable(path: pathlib.Path, seen: set[tuple[int, int]]) -> str | None:
    """Says why nothing can be listed under `path`; None for a file."""
    if not os.path.isdir(path):
        return None
    if _identity(path) in seen:
        return "a link to a folder that is listed already"
    try:
        return None if os.listdir(path) else "an empty folder"
    except OSError as error:
        return f"a folder that cannot be read: {error.strerror}"


def _unlistable(path: pathlib.Path) -> str | None:
    """Says why a path is neither a folder to enter nor a file to list."""
    if path.name.startswith("."):
        return "a hidden folder" if os.path.isdir(path) else "a hidden file"
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "a broken symbolic link"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    regular = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return None if regular else "not a regular file"


def _identity(folder: pathlib.Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _no_classes(root: pathlib.Path) -> errors.DataError:
    tables = [p.name for p in _entries(root) if p.suffix.lower() == ".csv"]
    hint = f" --data={root / tables[0]} reads its table." if tables else ""
    return errors.DataError(
        f"{root} holds no folder per class, e.g. {root / 'cats'}/1.jpg.{hint}"
    )
