"""Pictures and masks in folders, matched by name."""

import os
import pathlib
from collections.abc import Iterator, Mapping

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, labelling
from tf_finetune.data.folders import (
    affixes,
    layout,
    leftovers,
    pairing,
    rivals,
    sides,
    telling,
    tree,
)
from tf_finetune.data.masks import legends

_Found = list[examples.Example | examples.Dropped]

_MANY = 0.25
"""Share of pictures without a mask that is worth a warning."""

LAYOUTS = (
    "images/ and masks/ (or image/ and label/, JPEGImages/ and "
    "SegmentationClass/ …), train/, validation/ and test/ with both in each, "
    "or masks beside their pictures: 1.png and 1_mask.png"
)


class Pairs:
    """`images/` and `masks/`, or train/, validation/, test/ of such pairs.

    A mask has the name of its picture, but for the suffix and for what all
    masks have before or behind it, in the same folder below.
    """

    def recognises(self, data: str) -> bool:
        """Tells if `data` is a folder with pictures and masks in it."""
        root = pathlib.Path(data).expanduser()
        return root.is_dir() and pairing.find(tree.read(str(root))) is not None

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
        path = pathlib.Path(options.data).expanduser()
        if not path.is_dir():
            raise errors.DataError(f"--data={options.data} is not a folder.")
        root = tree.read(str(path), besides=str(cache_dir))
        telling.warn_of_leftovers(root)
        found = pairing.find(root)
        if found is None:
            raise _no_pairs(root)
        # Refused before anything is listed: the wrong masks train as well.
        rivals.check(root)
        everything: _Found = []
        for pair in found.pairs:
            everything += _matched(pair, found.rule)
        pairs = [e for e in everything if isinstance(e, examples.Example)]
        if not pairs:
            raise errors.DataError(_nothing(root, everything))
        _tell(root, found, pairs[0])
        _warn_of_missing(found, len(pairs))
        layout.tell_of(found.aside, root)
        for folder in root.walk():
            folder.check_readable()
            everything += folder.dropped
        everything += layout.dropped(found.aside)
        everything += telling.dropped(tree.all_left_out(root))
        return examples.Listing(
            examples=tuple(pairs),
            dropped=tuple(
                each
                for each in everything
                if isinstance(each, examples.Dropped)
            ),
            class_names=legends.names_beside(path),
        )


SOURCE = Pairs()


def _matched(
    pair: pairing.Pair, rule: affixes.Rule
) -> Iterator[examples.Example | examples.Dropped]:
    """Yields each picture with its mask, and files without a partner."""
    pictures: dict[str, list[str]] = {}
    core_of = {}
    for stem, paths in pair.images.paths.items():
        core_of[stem] = rule.of_image(stem) or stem
        pictures.setdefault(core_of[stem], []).extend(paths)
    masks = _masks_by_core(pair.masks.paths, core_of, rule)
    for core in sorted({*pictures, *masks}):
        mine, theirs = pictures.get(core, []), masks.get(core, [])
        # 1.jpg and 1.png, or two masks of one name: none is preferred.
        if len(mine) == len(theirs) == 1:
            mask = examples.Mask(path=theirs[0])
            yield examples.Example(path=mine[0], label=mask, split=pair.split)
            continue
        for path in (*mine, *theirs):
            reason = "neither a picture nor a mask"
            if leftovers.may_be_picture(path):
                reason = _lonely(mine, theirs, rule)
            yield examples.Dropped(path=path, reason=reason)


def _masks_by_core(
    paths: Mapping[str, list[str]],
    core_of: Mapping[str, str],
    rule: affixes.Rule,
) -> dict[str, list[str]]:
    """Groups masks by the name that they share with their picture.

    A mask that does not follow the rule is its picture's if it has the same
    name and no other mask is.
    """
    cores = set(core_of.values())
    found: dict[str, list[str]] = {}
    others = []
    for stem, mine in paths.items():
        core = rule.of_mask(stem)
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


def _lonely(pictures: list[str], masks: list[str], rule: affixes.Rule) -> str:
    said = "" if rule.is_equality else f" ({rule.text()})"
    if not masks:
        return f"a picture without a mask of the same name{said}"
    if not pictures:
        return f"a mask without a picture of the same name{said}"
    what = "pictures" if len(pictures) > 1 else "masks"
    return f"several {what} have this name without suffix{said}"


def _tell(
    root: tree.Folder, found: pairing.Pairs, first: examples.Example
) -> None:
    """Logs which folders and names were taken for pictures and masks."""
    usual = ("images", "masks")
    if any((p.images.top.name, p.masks.top.name) != usual for p in found.pairs):
        said = []
        for pair in found.pairs:
            one = telling.relative(pair.images.path, root)
            other = telling.relative(pair.masks.path, root)
            said.append(one if one == other else f"{one} with masks in {other}")
        logging.info("Pictures lie in %s.", telling.listed(said))
    if not found.rule.is_equality:
        logging.info(
            "Names of %s; %s is the mask of %s.",
            found.rule.text(),
            os.path.relpath(first.label.path, root.path),
            os.path.relpath(first.path, root.path),
        )


def _warn_of_missing(found: pairing.Pairs, count: int) -> None:
    """Warns if many pictures have no mask."""
    total = sum(
        len(paths)
        for pair in found.pairs
        for paths in pair.images.paths.values()
        if leftovers.may_be_picture(paths[0])
    )
    if total - count > _MANY * total:
        logging.warning(
            "%s of %s have no mask and are left out.",
            f"{total - count:,}",
            telling.counted(total, "picture"),
        )


def _no_pairs(root: tree.Folder) -> errors.DataError:
    pairing.check_masks_are_pictures(root)
    below = [each for each in layout.live(root) if layout.is_loose(each)]
    hint = ""
    if len(below) == len(layout.live(root)) == 2:
        stems = [{sides.stem_of(f) for f in e.files} for e in below]
        # Half of the names of the smaller folder occur in both.
        if 2 * len(stems[0] & stems[1]) >= min(map(len, stems)):
            hint = (
                f" {below[0].name}/ and {below[1].name}/ hold files of the "
                "same names: if one holds the masks, call them images/ and "
                "masks/."
            )
    return errors.DataError(
        f"{root.path} holds no pictures with masks; it must hold {LAYOUTS}."
        f"{hint}"
    )


def _nothing(root: tree.Folder, found: _Found) -> str:
    first = found[0]
    return (
        f"No picture in {root.path} has a mask: of {len(found)} files the "
        f"first, {first.path}, is {first.reason}. A mask has the name of its "
        "picture, but for the suffix and for what all masks have before or "
        "behind it."
    )
