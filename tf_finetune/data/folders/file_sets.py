"""Files of a folder tree, grouped by kind (image, mask), location and split."""

import collections
import dataclasses
import functools
import os
from collections.abc import Mapping

from tf_finetune.data.folders import folder_layout, folder_tree, folder_words


@dataclasses.dataclass(frozen=True)
class FileSetKey:
    """Kind, split and location of files, by the names of their folders.

    Attributes:
        kind: "images", "masks" or "" where the names say neither.
        split: One of `examples.SPLITS`; None: the names say none.
        rest: The remaining words of the names, from the root down to the folder
            that says the kind; equal for images and masks that belong together.
    """

    kind: str
    split: str | None
    rest: tuple[str, ...]


@dataclasses.dataclass(kw_only=True, eq=False)
class FileSet:
    """The pictures, or the masks, of one split in one location.

    Attributes:
        top: The folder whose name says the kind (images/, masks/); the folder
            of the files where no name does.
        way: Names of the folders, above or below `top`, that say the split,
            such as "train"; empty if none does.
        folders: Folders that the files lie in: `top` or below.
        part: The entries of `paths` that belong to the set, if it shares its
            folders with another one; None: all files of `folders`.
    """

    top: folder_tree.Folder
    way: tuple[str, ...]
    folders: list[folder_tree.Folder] = dataclasses.field(default_factory=list)
    part: Mapping[str, list[str]] | None = None

    @functools.cached_property
    def paths(self) -> Mapping[str, list[str]]:
        """Paths of the files by stem: the path from `top` without the suffix.

        Folders of splits are left out of stems. A stem has several paths where
        files differ in their suffix: 1.jpg, 1.png.
        """
        if self.part is not None:
            return self.part
        found = collections.defaultdict(list)
        for folder in self.folders:
            place = os.path.relpath(folder.path, self.top.path)
            parts = [] if place == "." else place.split(os.sep)
            # images/train/1.png and masks/train/1.png share the stem 1.
            below = [part for part in parts if part not in self.way]
            for name in folder.files:
                stem = "/".join([*below, strip_suffix(name)])
                found[stem].append(os.path.join(folder.path, name))
        return dict(found)

    @property
    def path(self) -> str:
        """Path of the deepest folder in or below which all files lie."""
        return os.path.commonpath([each.path for each in self.folders])


def collect_file_sets(
    root: folder_tree.Folder,
) -> list[tuple[FileSetKey, FileSet]]:
    """Groups the files of a tree by kind, location and split.

    Args:
        root: The tree of the data set's folder.

    Returns:
        (key, set) pairs; every folder that holds pictures is in one set. A key
        occurs several times where several folders fit it.
    """
    sides: dict[tuple[FileSetKey, str], FileSet] = {}
    # Depth first with a stack: trees may be deeper than Python recurses.
    pending = [(root, FileSetKey("", None, ()), root, ())]
    while pending:
        folder, key, top, way = pending.pop()
        if folder.files and folder_layout.holds_loose_pictures(folder):
            side = sides.setdefault((key, top.path), FileSet(top=top, way=way))
            side.folders.append(folder)
        names = folder_words.select_split_names(
            [each.name for each in folder.folders]
        )
        assigned = folder_words.assign_splits(names).split_of
        for each in reversed(folder.folders):
            split = None if key.split else assigned.get(each.name)
            pending.append(_enter_subfolder(each, split, key, top, way))
    return [(key, side) for (key, _), side in sides.items()]


def _enter_subfolder(
    folder: folder_tree.Folder,
    split: str | None,
    key: FileSetKey,
    top: folder_tree.Folder,
    way: tuple[str, ...],
) -> tuple[folder_tree.Folder, FileSetKey, folder_tree.Folder, tuple[str, ...]]:
    """Returns the state of a subfolder, derived from its parent's."""
    said = folder_words.parse_name(folder.name)
    kind = _find_kind(folder)
    rest = said.rest
    if split:  # The year in train2017/ is that of val2017/, too.
        way = (*way, folder.name)
        rest = tuple(word for word in rest if not word.isdecimal())
    split = split or key.split
    if key.kind:  # Deeper folders have the same names on both sides.
        return folder, FileSetKey(key.kind, split, key.rest), top, way
    if kind:
        return folder, FileSetKey(kind, split, (*key.rest, *rest)), folder, way
    # A name of filler words alone (data/) still tells places apart.
    if not rest and not (way and way[-1] == folder.name):
        rest = (folder.name.casefold(),)
    return folder, FileSetKey("", split, (*key.rest, *rest)), folder, way


def _find_kind(folder: folder_tree.Folder) -> str:
    """Returns the kind that a folder's name states, images or masks, or "".

    A folder of both, seg_train/{images,masks}, is neither whatever its name.
    """
    said = folder_words.parse_name(folder.name)
    if not (said.is_images or said.is_masks):
        return ""
    below = [folder_words.parse_name(each.name) for each in folder.walk()][1:]
    if said.is_masks and any(each.is_images for each in below):
        return ""
    if said.is_images and any(each.is_masks for each in below):
        return ""
    return "images" if said.is_images else "masks"


def strip_suffix(name: str) -> str:
    """Returns a file's name without its suffix; ".nii.gz" counts as one."""
    if name.lower().endswith(".nii.gz"):
        return name[: -len(".nii.gz")]
    return os.path.splitext(name)[0]
