"""Finds pictures of a run that were moved, by name and content hash."""

import collections
import os
import pathlib
from collections.abc import Iterator

from tf_finetune import files

# Bytes; a workdir of somebody else may name any file as a picture.
_LARGEST_PICTURE = 1 << 30


class PictureFinder:
    """Finds pictures at their old paths, or in a folder they were moved to.

    In the folder a picture is looked for by the end of its old path, the
    longest first, and then by its file name alone, in any subfolder.

    Args:
        root: Folder to search; None: pictures are looked for at their old
            paths only.
    """

    def __init__(self, root: str | None) -> None:
        """Prepares a search; reads nothing from the disk yet."""
        self._root = root and pathlib.Path(root).expanduser()
        self._by_name: dict[str, list[str]] | None = None

    def find(self, path: str, sha256: str) -> str | None:
        """Finds a picture file whose content is unchanged.

        Args:
            path: Its old path.
            sha256: SHA-256 of its bytes, hexadecimal.

        Returns:
            The path of a file with this hash; None if there is none.
        """
        places = self._list_places(path) if self._root else iter([path])
        return next((each for each in places if _has_hash(each, sha256)), None)

    def _list_places(self, path: str) -> Iterator[str]:
        parts = _split_path(path)
        # The longest end of the old path first: names alone may repeat.
        for start in range(len(parts)):
            yield str(self._root.joinpath(*parts[start:]))
        yield from self._find_by_name(parts[-1]) if parts else ()

    def _find_by_name(self, name: str) -> list[str]:
        if self._by_name is None:
            self._by_name = collections.defaultdict(list)
            for folder, _, names in os.walk(self._root):
                for each in names:
                    self._by_name[each].append(os.path.join(folder, each))
        return sorted(self._by_name.get(name, ()))


def _split_path(path: str) -> tuple[str, ...]:
    """Returns the parts of a path, of Windows too, without root and `..`."""
    is_windows = "\\" in path and "/" not in path
    kind = pathlib.PureWindowsPath if is_windows else pathlib.PurePosixPath
    whole = kind(path)
    return tuple(
        each for each in whole.parts if each not in (whole.anchor, "..")
    )


def _has_hash(path: str, sha256: str) -> bool:
    try:
        return files.sha256(path, limit=_LARGEST_PICTURE) == sha256
    except (OSError, ValueError):  # Of names that no file can have.
        return False
