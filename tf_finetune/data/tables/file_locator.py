"""Search for the file that a name in a table means, however it is spelled.

A name is taken as it stands wherever a file of that name exists. Only then it
is tried without the blanks around it, with other slashes, and so on;
`Locator.tell` logs the names that were read in such a way.
"""

import collections
import dataclasses
import os
import pathlib
import re
import unicodedata
import urllib.parse
from collections.abc import Iterable, Sequence

from absl import logging

SUFFIXES = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)
"""Suffixes of files that a name without suffix can mean."""

NOT_FOUND = "file not found"
NETWORK_ADDRESS = "a network address, not a file; download it first"

_ADDRESS = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_FILE = re.compile(r"file:(//(localhost)?)?(?=[^/]|/(?!/))", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")
# Names that decide in which folder those of another computer begin.
_MAX_SAMPLED = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class _FoundFile:
    path: str
    ways: tuple[str, ...]


class Locator:
    """Finds the files that the cells of a table name.

    Args:
        table: Path of the table.
        image_root: The folder that names start from; None: the table's
            folder.
        names: All names of the table. From them is learned which leading
            folders of another computer's absolute paths to leave out.

    Attributes:
        table: Path of the table.
        root: The folder that relative names start from.
    """

    def __init__(
        self,
        table: pathlib.Path,
        image_root: str | None = None,
        names: Iterable[str] = (),
    ) -> None:
        """Sets where relative names start; nothing is read yet."""
        self.table = table
        self.root = (
            table.parent
            if image_root is None
            else pathlib.Path(image_root).expanduser()
        )
        self._names = tuple(names)
        self._prefix: tuple[str, ...] | None = None
        self._listings: dict[str, dict[str, list[str]]] = {}
        self._asked: set[str] = set()
        self._examples: dict[tuple[str, ...], tuple[str, str]] = {}
        self._counts: collections.Counter = collections.Counter()

    def find(self, name: str) -> str:
        """Finds the file that a cell of the table names.

        Args:
            name: The cell's text, with any blanks around it.

        Returns:
            Path of the file; if none is found, or the name is a network
            address, `name` joined to `root`, where it was looked for first.
        """
        found = self._search_file(name)
        if found.ways and name not in self._asked:
            self._asked.add(name)
            self._counts[found.ways] += 1
            self._examples.setdefault(found.ways, (name, found.path))
        return found.path

    def exists(self, name: str) -> bool:
        """Tells if a name means a file, not a folder or a network address."""
        return not is_address(name) and _is_file(self._search_file(name).path)

    def tell(self) -> None:
        """Logs how many names were found only after a change, such as of case.

        Each kind of change is logged with an example, and once only.
        """
        for ways, (name, path) in self._examples.items():
            count = self._counts[ways]
            names = "name is" if count == 1 else "names are"
            logging.info(
                "%s: %d %s read %s, e.g. %r as %r.",
                self.table,
                count,
                names,
                " and ".join(ways),
                name,
                path,
            )
        self._examples.clear()

    def _search_file(self, name: str) -> _FoundFile:
        exact = os.path.join(self.root, name)
        if _is_file(exact) or is_address(name):
            return _FoundFile(path=exact, ways=())
        text, ways = _clean_name(name)
        for relative, further in self._list_readings(text):
            path = self._file(relative)
            if path is not None:
                return _FoundFile(
                    path=path[0], ways=(*ways, *further, *path[1])
                )
        return _FoundFile(path=exact, ways=())

    def _list_readings(self, text: str) -> list[tuple[str, tuple[str, ...]]]:
        """Returns the paths that a cleaned name may mean, likeliest first."""
        readings: list[tuple[str, tuple[str, ...]]] = [(text, ())]
        parts = _split_absolute(text)
        if parts:
            if self._prefix is None:
                self._prefix = self._learn_prefix()
            size = len(self._prefix)
            if parts[:size] == self._prefix and len(parts) > size:
                relative = "/".join(parts[size:])
                way = f"from {self.root} on"
                readings.append((relative, (way,)))
        return readings

    def _learn_prefix(self) -> tuple[str, ...]:
        """Returns the fewest leading folders without which most names exist."""
        all_parts = []
        for name in self._names:
            if len(all_parts) == _MAX_SAMPLED:
                break
            if parts := _split_absolute(_clean_name(name)[0]):
                all_parts.append(parts)
        if not all_parts:
            return ()
        first = all_parts[0]
        # From the shortest prefix on, as long as all names share it.
        for size in range(min(map(len, all_parts))):
            if any(parts[:size] != first[:size] for parts in all_parts):
                break
            there = sum(
                self._file("/".join(parts[size:])) is not None
                for parts in all_parts
            )
            if 2 * there > len(all_parts):
                return first[:size]
        return ()

    def _file(self, relative: str) -> tuple[str, tuple[str, ...]] | None:
        """Returns a file below the root, and how its name had to be read."""
        path = os.path.join(self.root, relative)
        if _is_file(path):
            return path, ()
        absolute = relative.startswith("/")
        place = "/" if absolute else str(self.root)
        ways: tuple[str, ...] = ()
        parts = [part for part in relative.split("/") if part not in ("", ".")]
        for number, part in enumerate(parts):
            is_last = number + 1 == len(parts)
            path = os.path.join(place, part)
            # Only a part that does not exist as it stands is searched for.
            if not is_last and (os.path.exists(path) or part == ".."):
                place = path
                continue
            found = self._find_entry(place, part, is_last=is_last)
            if found is None:
                return None
            place = os.path.join(place, found[0])
            ways = tuple(dict.fromkeys((*ways, *found[1])))
        return (place, ways) if parts else None

    def _find_entry(
        self, folder: str, name: str, *, is_last: bool
    ) -> tuple[str, tuple[str, ...]] | None:
        """Returns the one entry of a folder that a name can mean."""
        listing = self._list_folder(folder)
        found = listing.get(fold_name(name), [])
        if is_last:
            found = [n for n in found if _is_file(os.path.join(folder, n))]
        if len(found) == 1:
            return found[0], (
                "without regard to capital letters or accents' encoding",
            )
        if found or not is_last:
            return None
        # No name holds a NUL: stems are told apart from whole names by it.
        found = listing.get("\0" + fold_name(name), [])
        if len(found) == 1:
            return found[0], ("with the suffix of the one file of that name",)
        return None

    def _list_folder(self, folder: str) -> dict[str, list[str]]:
        """Returns the names in a folder by folded name, and "\\0" + stem."""
        if folder not in self._listings:
            listing = collections.defaultdict(list)
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                names = []
            for name in names:
                listing[fold_name(name)].append(name)
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in SUFFIXES:
                    listing["\0" + fold_name(stem)].append(name)
            self._listings[folder] = dict(listing)
        return self._listings[folder]


def is_address(name: str) -> bool:
    """Tells if a name is a network address such as https://… or s3://…"""
    return bool(_ADDRESS.match(name.strip()))


def explain_missing(name: str) -> str:
    """Returns `NETWORK_ADDRESS` or `NOT_FOUND`: why a name leads to no file."""
    return NETWORK_ADDRESS if is_address(name) else NOT_FOUND


def fold_name(name: str) -> str:
    """Returns a file name as case-insensitive file systems compare it.

    Names that differ only in case or in the encoding of accents become equal.
    """
    # macOS decomposes accents (NFD), other systems keep them composed.
    return unicodedata.normalize("NFC", name).casefold()


def is_absolute(name: str) -> bool:
    r"""Tells if a name starts at the root of this or another computer.

    Such are /data/1.jpg, C:\data\1.jpg and file:///data/1.jpg.
    """
    return bool(_split_absolute(_clean_name(name)[0]))


def split_parts(name: str) -> Sequence[str]:
    r"""Splits a name into its folders and, last, the file name.

    Slashes of either direction divide it; drive letters, "file:" and "." are
    left out: C:\data\1.jpg gives ("data", "1.jpg").
    """
    text, _ = _clean_name(name)
    text = _DRIVE.sub("", text)
    return tuple(part for part in text.split("/") if part not in ("", "."))


def _clean_name(name: str) -> tuple[str, tuple[str, ...]]:
    """Returns a name as a path of this system, and the changes it needed."""
    text, ways = name.strip(), []
    if text != name:
        ways.append("without the blanks around them")
    if found := _FILE.match(text):
        text = urllib.parse.unquote(
            text[found.end() :], errors="surrogateescape"
        )
        if _DRIVE.match(text[1:]):
            text = text[1:]  # As in file:///C:/a.jpg.
        ways.append("as paths instead of file: addresses")
    if "\\" in text:
        text = text.replace("\\", "/")
        ways.append("with / for \\")
    return text, tuple(ways)


def _is_file(path: str) -> bool:
    """Tells if a path exists and is not a folder."""
    return os.path.exists(path) and not os.path.isdir(path)


def _split_absolute(text: str) -> tuple[str, ...]:
    """Returns the parts of a cleaned absolute path; empty if it is relative."""
    if not text.startswith("/") and not _DRIVE.match(text):
        return ()
    return tuple(split_parts(text))
