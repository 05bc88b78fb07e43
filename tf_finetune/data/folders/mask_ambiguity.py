"""Check that only one folder can hold the masks."""

from tf_finetune import errors
from tf_finetune.data.folders import (
    file_sets,
    folder_tree,
    mask_folders,
    mask_naming,
    split_folders,
)


def check_one_mask_folder(root: folder_tree.Folder) -> None:
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
            mine, other = pair.masks.top, side.top
            raise errors.DataError(
                "It is unclear whether the masks of the pictures in "
                f"{root.relative(pair.images.top)} lie in "
                f"{root.relative(mine)} or in {root.relative(other)}: both "
                "hold files of their names. Keep the masks to train on in "
                "masks/, and move the other folder out of "
                f"{root.path}."
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
