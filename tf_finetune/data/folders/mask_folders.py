"""Pairing of picture folders with mask folders."""

import collections
import dataclasses
import os

from tf_finetune import errors
from tf_finetune.data import class_names
from tf_finetune.data.folders import (
    file_sets,
    folder_layout,
    folder_tree,
    folder_words,
    mask_naming,
    split_folders,
)

_MIN_MASK_SHARE = (
    0.25  # Of the pictures in a folder; so many masks are no accident.
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderPair:
    """Pictures and masks that belong together, of one split.

    Attributes:
        split: One of `examples.SPLITS`; None: the data brings none.
        images: Files of the pictures.
        masks: Files of the masks.
        is_guess: Whether their folders' names have nothing in common; they are
            paired because the split has no others.
    """

    split: str | None
    images: file_sets.FileSet
    masks: file_sets.FileSet
    is_guess: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderPairs:
    """All pictures and masks of a data set.

    Attributes:
        pairs: One for each split and location, at least one.
        rule: How the file name of a mask follows from that of its picture.
        unused_folders: Folders of pictures or masks without the other.
        is_sure: Whether names leave no doubt that these are masks.
    """

    pairs: tuple[FolderPair, ...]
    rule: mask_naming.NamingRule
    unused_folders: tuple[folder_layout.UnusedFolder, ...]
    is_sure: bool


def find_pairs(root: folder_tree.Folder) -> FolderPairs | None:
    """Finds the pictures and masks in the tree of a data set's folder.

    Folders called like images/ and masks/ are paired first; if there are none,
    files such as 1.png and 1_mask.png in the same folders.

    Returns:
        None if there are no masks. Files are grouped, not yet matched: a
        picture may have no mask.

    Raises:
        DataError: Two folders could be the same side of a pair, or a picture
            has several masks.
    """
    found = file_sets.collect_file_sets(root)
    pairs, used = match_file_sets(root, found)
    if not pairs:
        return _find_pairs_in_folders(found)
    rule = mask_naming.find_rule(
        [(p.images.paths, p.masks.paths) for p in pairs]
    )
    rest = [side for side in found if id(side[1]) not in used]
    return FolderPairs(
        pairs=tuple(pairs),
        rule=rule,
        unused_folders=tuple(_list_unpaired(rest)),
        is_sure=all(_has_telling_names(p) for p in pairs),
    )


def check_not_mask_pairs(root: folder_tree.Folder) -> None:
    """Raises `DataError` if the class folders are of pictures and masks."""
    found = find_pairs(root)
    if found is None:
        check_masks_are_pictures(root)
        return
    if not found.is_sure:
        return
    masks = sum(
        len(
            {found.rule.strip_image_affix(each) for each in pair.images.paths}
            & {found.rule.strip_mask_affix(each) for each in pair.masks.paths}
            - {None}
        )
        for pair in found.pairs
    )
    # Few matches are no evidence: class folders may share file names.
    if masks < max(1, _MIN_MASK_SHARE * root.pictures):
        return
    first = found.pairs[0]
    one, other = (root.relative(s.path) for s in (first.images, first.masks))
    where = f"in {one} and {other}"
    if one == other:
        said = " and ".join(mask_naming.describe_affix(found.rule.mask))
        where = f"in {one}, where names of masks have {said}"
    others = ""
    if more := len(found.pairs) - 1:
        others = f", and in {folder_tree.format_count(more, 'further place')}"
    raise errors.DataError(
        f"{root.path} looks like pictures and their masks: "
        f"{folder_tree.format_count(masks, 'pair')} {where}{others}. Use "
        "--task=segmentation to train on the masks. To train on classes, move "
        "the masks elsewhere; if these folders are classes, give "
        "--class_level=1."
    )


def check_masks_are_pictures(root: folder_tree.Folder) -> None:
    """Raises `DataError` if labels/ beside images/ has files, no picture."""
    parsed = [
        (each, folder_words.parse_name(each.name)) for each in root.walk()
    ]
    images = [
        f
        for f, said in parsed
        if said.is_images and folder_layout.holds_pictures(f)
    ]
    for folder, said in parsed:
        if images and said.is_masks and folder.files and not folder.pictures:
            suffixes = sorted({os.path.splitext(f)[1] for f in folder.files})
            raise errors.DataError(
                f"{root.relative(folder.path)} in {root.path} holds "
                f"{folder_tree.format_count(len(folder.files), 'file')} "
                f"({class_names.join_names(suffixes)}) and no picture. "
                "Boxes, outlines and texts beside pictures are not read; masks "
                "are pictures of the size of theirs, and classes are folders "
                "or a column of a .csv file."
            )


def match_file_sets(
    root: folder_tree.Folder,
    found: list[tuple[file_sets.FileSetKey, file_sets.FileSet]],
) -> tuple[list[FolderPair], set[int]]:
    """Pairs file sets of pictures with file sets of masks of the same data.

    Sets of the same split and location (`FileSetKey.rest`) belong together;
    lone masks of a split go with its only pictures. Returns the pairs, sorted
    by the path of their pictures, and the `id()` of each `FileSet` in them.

    Raises:
        DataError: Two folders could be the same side of a pair.
    """
    by_key: dict[file_sets.FileSetKey, list[file_sets.FileSet]] = (
        collections.defaultdict(list)
    )
    for key, side in found:
        by_key[key].append(side)
    pairs = []
    masks = [key for key in by_key if key.kind == "masks"]
    for key in masks:
        images = None
        for kind in ("images", ""):
            # A folder called after pictures first, then one of no telling name.
            images = images or by_key.get(
                file_sets.FileSetKey(kind, key.split, key.rest)
            )
        is_guess = not images
        # No folder of matching name: the only other one of this split is taken.
        if is_guess and len(by_key[key]) == 1:
            images = _find_only_images(by_key, key)
        if images:
            mine = _require_one(root, key, by_key[key])
            theirs = _require_one(root, key, images)
            pair = FolderPair(
                split=key.split, images=theirs, masks=mine, is_guess=is_guess
            )
            pairs.append(pair)
    # Sides have identity (eq=False), so that two of equal files differ.
    used = {id(s) for pair in pairs for s in (pair.images, pair.masks)}
    return sorted(pairs, key=lambda p: p.images.top.path), used


def _find_only_images(
    by_key: dict[file_sets.FileSetKey, list[file_sets.FileSet]],
    key: file_sets.FileSetKey,
) -> list[file_sets.FileSet]:
    """Returns the only pictures of the split; empty if there are several."""
    same = [each for each in by_key if each.split == key.split]
    if len([each for each in same if each.kind == "masks"]) > 1:
        return []
    for kind in ("images", ""):
        others = [each for each in same if each.kind == kind]
        if len(others) == 1:
            return by_key[others[0]]
        if others:
            return []
    return []


def _require_one(
    root: folder_tree.Folder,
    key: file_sets.FileSetKey,
    found: list[file_sets.FileSet],
) -> file_sets.FileSet:
    """Returns the only file set; raises `DataError` if there are several."""
    one, *others = found
    for other in others:
        if key.split and one.way != other.way:
            differing = zip(one.way, other.way, strict=False)
            # The first level at which their folders differ, e.g. val and valid.
            names = next((p for p in differing if p[0] != p[1]), None)
            if names:
                raise split_folders.duplicate_split_error(
                    root.path, key.split, *names
                )
        raise errors.DataError(
            f"{root.path} holds {root.relative(one.top.path)} and "
            f"{root.relative(other.top.path)}, which both look like the "
            f"{'masks' if key.kind == 'masks' else 'pictures'} of the same "
            "data; move one of them elsewhere."
        )
    return one


def _has_telling_names(pair: FolderPair) -> bool:
    """Tells if the folders' names mark them clearly as a pair."""
    image = folder_words.parse_name(pair.images.top.name)
    return image.is_images or not pair.is_guess


def _list_unpaired(
    found: list[tuple[file_sets.FileSetKey, file_sets.FileSet]],
) -> list[folder_layout.UnusedFolder]:
    """Returns pictures without masks, and masks without pictures."""
    asides = []
    for key, side in found:
        kinds = ("masks", "pictures")
        what, other = kinds if key.kind == "masks" else kinds[::-1]
        count = sum(each.own or len(each.files) for each in side.folders)
        aside = folder_layout.UnusedFolder(
            path=side.path,
            reason=f"{what} without {other}",
            content=folder_tree.format_count(count, "picture"),
            count=count,
        )
        asides.append(aside)
    return asides


def _find_pairs_in_folders(
    found: list[tuple[file_sets.FileSetKey, file_sets.FileSet]],
) -> FolderPairs | None:
    """Returns NAME.png and NAME_mask.png that lie in the same folders."""
    # Names alone come first: of a million files few data sets have masks.
    names = [f for _, side in found for e in side.folders for f in e.files]
    named = sum(folder_words.has_mask_word(name) for name in names)
    if not named or named < _MIN_MASK_SHARE * len(names):
        return None
    stems = {stem for _, side in found for stem in _list_full_stems(side)}
    rule, count = mask_naming.find_rule_in_folder(stems)
    if not count or count < _MIN_MASK_SHARE * len(stems):
        return None
    pairs, rest = [], []
    for key, side in found:
        masks = {
            stem: paths
            for stem, paths in side.paths.items()
            if rule.strip_mask_affix(stem) in side.paths
        }
        if not masks:
            rest.append((key, side))
            continue
        images = {s: p for s, p in side.paths.items() if s not in masks}
        one, other = (
            dataclasses.replace(side, part=part) for part in (images, masks)
        )
        pairs.append(
            FolderPair(split=key.split, images=one, masks=other, is_guess=False)
        )
    if not pairs:
        return None
    return FolderPairs(
        pairs=tuple(pairs),
        rule=rule,
        unused_folders=tuple(_list_unpaired(rest)),
        is_sure=True,
    )


def _list_full_stems(side: file_sets.FileSet) -> list[str]:
    return [os.path.join(side.top.path, stem) for stem in side.paths]
