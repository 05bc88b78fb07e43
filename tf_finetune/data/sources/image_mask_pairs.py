"""Pictures and masks in folders, matched by name."""

import os
import pathlib
from collections.abc import Iterator, Mapping

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples, label_protocol
from tf_finetune.data.folders import (
    file_sets,
    folder_layout,
    folder_tree,
    ignored_folders,
    mask_folders,
    mask_naming,
    split_folders,
)
from tf_finetune.data.masks import class_lists

_Found = list[examples.Example | examples.DroppedFile]

_WARNING_SHARE = 0.25
"""Share of pictures without a mask that is worth a warning."""

_LAYOUTS = (
    "images/ and masks/ (or image/ and label/, JPEGImages/ and "
    "SegmentationClass/ …), train/, validation/ and test/ with both in each, "
    "or masks beside their pictures: 1.png and 1_mask.png"
)


class Pairs:
    """Data source for images/ and masks/, with or without splits above them.

    A mask has the name of its picture, but for the suffix and for text that all
    masks have before or behind it. Subfolders are named alike on both sides.
    """

    def recognizes(self, data: str) -> bool:
        """Tells if `data` is a folder with pictures and their masks in it."""
        root = pathlib.Path(data).expanduser()
        return (
            root.is_dir()
            and mask_folders.find_pairs(folder_tree.read_tree(str(root)))
            is not None
        )

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: label_protocol.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists every picture that has a mask; other files are dropped.

        Warns if more than a quarter of the pictures have no mask.

        Args:
            options: Path of the folder.
            labels: Not used: a label is the mask of the same name.
            cache_dir: The cache, which is left out if it lies in the folder.

        Returns:
            The pairs, the dropped files, and the names of the classes if a file
            in the folder lists them.

        Raises:
            DataError: There are no folders of pictures and masks, a folder
                cannot be read, several folders could hold the masks, or no
                picture has a mask.
        """
        path = pathlib.Path(options.data).expanduser()
        if not path.is_dir():
            raise errors.DataError(f"--data={options.data} is not a folder.")
        root = folder_tree.read_tree(str(path), besides=str(cache_dir))
        folder_tree.warn_of_ignored(root)
        found = mask_folders.find_pairs(root)
        if found is None:
            raise _no_pairs_error(root)
        # Refused before anything is listed: the wrong masks train as well.
        _check_one_mask_folder(root)
        everything: _Found = []
        for pair in found.pairs:
            everything += _match_pair(pair, found.rule)
        pairs = [e for e in everything if isinstance(e, examples.Example)]
        if not pairs:
            raise errors.DataError(_no_masks_message(root, everything))
        _report_folders(root, found, pairs[0])
        _warn_of_missing(found, len(pairs))
        folder_layout.warn_of_unused(found.unused_folders, root)
        for folder in root.walk():
            folder.check_readable()
            everything += folder.dropped
        everything += folder_layout.list_dropped(found.unused_folders)
        everything += folder_tree.list_dropped(root)
        return examples.Listing(
            examples=tuple(pairs),
            dropped=tuple(
                each
                for each in everything
                if isinstance(each, examples.DroppedFile)
            ),
            class_names=class_lists.read_class_names(path),
        )


SOURCE = Pairs()


def _check_one_mask_folder(root: folder_tree.Folder) -> None:
    """Raises `DataError` if the masks may as well lie in another folder.

    It lies beside that of the masks and holds files of the same pictures, but
    is called neither after a drawing of the masks nor after pictures that have
    none: images/, mask/ (of the field of view) and 1st_manual/.
    """
    found = file_sets.collect_file_sets(root)
    pairs, used = mask_folders.match_file_sets(root, found)
    for pair in pairs:
        for key, side in found:
            if (
                id(side) in used
                or key.kind == "images"
                or key.split != pair.split
                # Siblings of the masks' folder only; others are other data.
                or side.top.parent is not pair.masks.top.parent
                or not _may_be_masks(side, pair.images)
            ):
                continue
            mine, other = pair.masks.top.path, side.top.path
            raise errors.DataError(
                "It is unclear whether the masks of the pictures in "
                f"{root.relative(pair.images.top.path)} lie in "
                f"{root.relative(mine)} or in {root.relative(other)}: both "
                "hold files of their names. Keep the masks to train on in "
                "masks/, and move the other folder out of "
                f"{root.path}."
            )


def _match_pair(
    pair: mask_folders.FolderPair, rule: mask_naming.NamingRule
) -> Iterator[examples.Example | examples.DroppedFile]:
    """Yields each picture with its mask, and files without a partner."""
    pictures: dict[str, list[str]] = {}
    core_of = {}
    for stem, paths in pair.images.paths.items():
        core_of[stem] = rule.strip_image_affix(stem) or stem
        pictures.setdefault(core_of[stem], []).extend(paths)
    masks = _group_masks(pair.masks.paths, core_of, rule)
    for core in sorted({*pictures, *masks}):
        mine, theirs = pictures.get(core, []), masks.get(core, [])
        # 1.jpg and 1.png, or two masks of one name: none is preferred.
        if len(mine) == len(theirs) == 1:
            mask = examples.Mask(path=theirs[0])
            yield examples.Example(path=mine[0], label=mask, split=pair.split)
            continue
        for path in (*mine, *theirs):
            reason = "neither a picture nor a mask"
            if ignored_folders.may_be_picture(path):
                reason = _explain_unmatched(mine, theirs, rule)
            yield examples.DroppedFile(path=path, reason=reason)


def _group_masks(
    paths: Mapping[str, list[str]],
    core_of: Mapping[str, str],
    rule: mask_naming.NamingRule,
) -> dict[str, list[str]]:
    """Groups masks by the name that they share with their picture.

    A mask that does not follow the rule is its picture's if it has the same
    name and no other mask is.
    """
    cores = set(core_of.values())
    found: dict[str, list[str]] = {}
    others = []
    for stem, mine in paths.items():
        core = rule.strip_mask_affix(stem)
        if core in cores:
            found.setdefault(core, []).extend(mine)
        else:
            others.append(stem)
    for stem in others:
        core = core_of.get(stem)
        is_free = core is not None and core not in found
        # No picture has a name of this form: the mask stays alone.
        key = core if is_free else f"/{stem}"
        found.setdefault(key, []).extend(paths[stem])
    return found


def _explain_unmatched(
    pictures: list[str], masks: list[str], rule: mask_naming.NamingRule
) -> str:
    said = "" if rule.is_same_name else f" ({rule.text()})"
    if not masks:
        return f"a picture without a mask of the same name{said}"
    if not pictures:
        return f"a mask without a picture of the same name{said}"
    what = "pictures" if len(pictures) > 1 else "masks"
    return f"several {what} have this name without suffix{said}"


def _report_folders(
    root: folder_tree.Folder,
    found: mask_folders.FolderPairs,
    first: examples.Example,
) -> None:
    """Logs which folders and names were taken for pictures and masks."""
    usual = ("images", "masks")
    if any((p.images.top.name, p.masks.top.name) != usual for p in found.pairs):
        said = []
        for pair in found.pairs:
            one = root.relative(pair.images.path)
            other = root.relative(pair.masks.path)
            said.append(one if one == other else f"{one} with masks in {other}")
        logging.info("Pictures lie in %s.", class_names.join_names(said))
    if not found.rule.is_same_name:
        logging.info(
            "Names of %s; %s is the mask of %s.",
            found.rule.text(),
            os.path.relpath(first.label.path, root.path),
            os.path.relpath(first.path, root.path),
        )


def _warn_of_missing(found: mask_folders.FolderPairs, count: int) -> None:
    """Warns if many pictures have no mask."""
    total = sum(
        len(paths)
        for pair in found.pairs
        for paths in pair.images.paths.values()
        if ignored_folders.may_be_picture(paths[0])
    )
    if total - count > _WARNING_SHARE * total:
        logging.warning(
            "%s of %s have no mask and are left out.",
            f"{total - count:,}",
            folder_tree.format_count(total, "picture"),
        )


def _no_pairs_error(root: folder_tree.Folder) -> errors.DataError:
    mask_folders.check_masks_are_pictures(root)
    below = [
        each
        for each in folder_layout.list_picture_folders(root)
        if folder_layout.holds_loose_pictures(each)
    ]
    hint = ""
    if len(below) == len(folder_layout.list_picture_folders(root)) == 2:
        stems = [{file_sets.strip_suffix(f) for f in e.files} for e in below]
        # Half of the names of the smaller folder occur in both.
        if 2 * len(stems[0] & stems[1]) >= min(map(len, stems)):
            hint = (
                f" {below[0].name}/ and {below[1].name}/ hold files of the "
                "same names: if one holds the masks, call them images/ and "
                "masks/."
            )
    return errors.DataError(
        f"{root.path} holds no pictures with masks; it must hold {_LAYOUTS}."
        f"{hint}"
    )


def _no_masks_message(root: folder_tree.Folder, found: _Found) -> str:
    first = found[0]
    return (
        f"No picture in {root.path} has a mask: of {len(found)} files the "
        f"first, {first.path}, is {first.reason}. A mask has the name of its "
        "picture, but for the suffix and for what all masks have before or "
        "behind it."
    )


def _may_be_masks(side: file_sets.FileSet, images: file_sets.FileSet) -> bool:
    """Tells if half of the pictures have a file of their name on a side."""
    if mask_naming.has_drawing_word(
        side.top.name
    ) or split_folders.has_unlabeled_name(side.top.name):
        return False
    try:
        rule = mask_naming.find_rule([(images.paths, side.paths)])
    except errors.DataError:  # Several fit: these are files of the pictures.
        return True
    cores = {rule.strip_image_affix(each) for each in images.paths} - {None}
    theirs = {rule.strip_mask_affix(each) for each in side.paths}
    # At least half of the pictures have a partner there, too.
    return 2 * len(cores & theirs) >= len(images.paths)
