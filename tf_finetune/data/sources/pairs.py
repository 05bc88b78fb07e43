"""Pictures and their masks in two folders, matched by name."""

import os
import pathlib
from collections.abc import Iterator

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, labelling
from tf_finetune.data.masks import legends
from tf_finetune.data.sources import folder

IMAGES, MASKS = "images", "masks"
"""The two folders' names."""


class Pairs:
    """`images/` and `masks/`, or train/, validation/, test/ of such pairs.

    A mask belongs to the picture of the same name without suffix, in the same
    folder below `images/`.
    """

    def recognises(self, data: str) -> bool:
        """Tells if `data` is a folder with images/ and masks/ in it."""
        root = pathlib.Path(data).expanduser()
        return root.is_dir() and bool(_pairs_of_folders(root))

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: labelling.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists every picture that has a mask; other files are dropped.

        Raises:
            DataError: There are no such folders, one cannot be read, or no
                picture has a mask.
        """
        root = pathlib.Path(options.data).expanduser()
        if not root.is_dir():
            raise errors.DataError(f"--data={options.data} is not a folder.")
        found: list[examples.Example | examples.Dropped] = []
        for split, place in _pairs_of_folders(root).items():
            found += _matched(place / IMAGES, place / MASKS, split)
        pairs = [e for e in found if isinstance(e, examples.Example)]
        if not pairs:
            raise errors.DataError(_nothing(root, found))
        return examples.Listing(
            examples=tuple(pairs),
            dropped=tuple(
                each for each in found if isinstance(each, examples.Dropped)
            ),
            class_names=legends.names_beside(root),
        )


SOURCE = Pairs()


def _pairs_of_folders(
    root: pathlib.Path,
) -> dict[str | None, pathlib.Path]:
    """Returns where the two folders lie, by split.

    Raises:
        DataError: Two folders mean the same split, or train/ is missing.
    """
    if _is_pair(root):
        return {None: root}
    found: dict[str | None, pathlib.Path] = {}
    for place in folder.folders_in(root):
        split = folder.SPLIT_WORDS.get(place.name.lower())
        if split is None or not _is_pair(place):
            continue
        if split in found:
            raise errors.DataError(
                f"{root} holds two folders for the {split} split, "
                f"{found[split].name}/ and {place.name}/; remove one."
            )
        found[split] = place
    return found


def _is_pair(place: pathlib.Path) -> bool:
    return (place / IMAGES).is_dir() and (place / MASKS).is_dir()


def _matched(
    images: pathlib.Path, masks: pathlib.Path, split: str | None
) -> Iterator[examples.Example | examples.Dropped]:
    """Yields each picture with its mask, and all that has no partner."""
    pictures, unusable = _by_stem(images)
    partners, unusable_masks = _by_stem(masks)
    yield from unusable
    yield from unusable_masks
    for stem in sorted({*pictures, *partners}):
        mine, theirs = pictures.get(stem, []), partners.get(stem, [])
        if len(mine) == len(theirs) == 1:
            mask = examples.Mask(path=theirs[0])
            yield examples.Example(path=mine[0], label=mask, split=split)
            continue
        reason = _lonely(mine, theirs)
        for path in (*mine, *theirs):
            yield examples.Dropped(path=path, reason=reason)


def _lonely(pictures: list[str], masks: list[str]) -> str:
    if not masks:
        return "a picture without a mask of the same name"
    if not pictures:
        return "a mask without a picture of the same name"
    what = "pictures" if len(pictures) > 1 else "masks"
    return f"several {what} have this name without suffix"


def _by_stem(
    top: pathlib.Path,
) -> tuple[dict[str, list[str]], list[examples.Dropped]]:
    """Returns the files under a folder by name without suffix."""
    stems: dict[str, list[str]] = {}
    dropped = []
    for path, reason in sorted(folder.files_under(top)):
        if reason:
            dropped.append(examples.Dropped(path=path, reason=reason))
        else:
            stem = os.path.splitext(os.path.relpath(path, top))[0]
            stems.setdefault(stem, []).append(path)
    return stems, dropped


def _nothing(root: pathlib.Path, found: list) -> str:
    if not found:
        return (
            f"{root} holds no pictures with masks; it must hold {IMAGES}/ and "
            f"{MASKS}/, or train/, validation/ and test/ with both in each."
        )
    first = found[0]
    return (
        f"No picture in {root} has a mask: of {len(found)} files the first, "
        f"{first.path}, is {first.reason}. A mask has the name of its "
        "picture, but for the suffix."
    )
