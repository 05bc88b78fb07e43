"""Whatever the folders are called, no picture goes without a word."""

import pathlib
import random
from collections.abc import Iterator

import pytest

from tf_finetune import errors

_NAMES = [
    "train", "Train Data", "seg_train", "val", "valid", "test", "test_set",
    "eval", "holdout", "trainval", "images", "masks", "label", "train_masks",
    "cats", "dogs", "owls", "cats", "dogs", "test tube", "unlabelled",
    "@eaDir", "thumbs", ".hidden", "data", "1", "2", "runs",
]  # fmt: skip
_FILES = ["{}.jpg", "{}.png", "{}_mask.png", "img_{}.jpg", "mask_{}.png"]


def _grow(folder: pathlib.Path, draw: random.Random, depth: int) -> None:
    folder.mkdir(exist_ok=True)
    pattern = draw.choice(_FILES)
    for number in range(draw.choice([0, 0, 0, 3, 5])):
        (folder / pattern.format(number)).write_bytes(b"x")
    if draw.random() < 0.03:
        (folder / "run.json").write_text("{}")
    for name in draw.sample(_NAMES, draw.choice([0, 1, 2, 3, 4])):
        if depth:
            _grow(folder / name, draw, depth - 1)


def _paths_of(listing) -> Iterator[str]:
    for each in listing.examples:
        yield each.path
        if not isinstance(each.label, str):
            yield each.label.path
    yield from (d.path for d in listing.dropped)


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_every_picture_is_used_or_named_alone_or_with_a_folder(
    tmp_path, listed, task
):
    draw = random.Random(7)
    listings = 0
    for number in range(80):
        root = tmp_path / str(number)
        _grow(root, draw, 3)
        try:
            listing = listed(root, task=task)
        except errors.DataError:
            continue
        listings += 1
        named = set(_paths_of(listing))
        assert len(named) == len(list(_paths_of(listing)))
        pictures = list(root.rglob("*.[jp][pn]g"))
        for path in pictures:
            around = {str(each) for each in (path, *path.parents)}
            assert around & named, path
        counts = sum(
            each.pictures
            for each in listing.dropped
            if each.pictures is not None
        )
        single = sum(str(path) in named for path in pictures)
        hidden = sum(".hidden" in path.parts for path in pictures)
        total = len(pictures)
        assert total - hidden <= counts + single <= total
    assert listings > 8
