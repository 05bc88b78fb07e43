"""Which pictures and masks belong together."""

import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.sources import image_mask_pairs
from tf_finetune.tasks.segmentation import labels


def _make(root: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def _list(root: pathlib.Path):
    options = data_options.DataOptions(data=str(root))
    return image_mask_pairs.SOURCE.list_examples(options, labels.LABELS, root)


def test_masks_are_found_by_name_without_suffix(tmp_path):
    _make(
        tmp_path, "images/b.jpg", "masks/b.png", "images/a.png", "masks/a.png"
    )
    listing = _list(tmp_path)
    assert [
        (pathlib.Path(e.path).name, pathlib.Path(e.label.path).name, e.split)
        for e in listing.examples
    ] == [("a.png", "a.png", None), ("b.jpg", "b.png", None)]
    assert listing.dropped == ()
    assert listing.class_names == ()


def test_folders_below_must_agree_too(tmp_path):
    _make(tmp_path, "images/x/1.jpg", "masks/x/1.png", "masks/y/1.png")
    listing = _list(tmp_path)
    assert len(listing.examples) == 1
    assert listing.dropped[0].path.endswith("masks/y/1.png")


def test_splits_may_be_called_as_people_call_them(tmp_path):
    for split in ("train", "val", "test"):
        _make(tmp_path, f"{split}/images/1.jpg", f"{split}/masks/1.png")
    _make(tmp_path, "README.txt")
    (tmp_path / "classes.json").write_text('["a", "b"]')
    assert image_mask_pairs.SOURCE.recognizes(str(tmp_path))
    listing = _list(tmp_path)
    assert {e.split for e in listing.examples} == {
        "train",
        "validation",
        "test",
    }
    assert listing.class_names == ("a", "b")


def test_what_has_no_partner_is_dropped_with_the_reason(tmp_path):
    _make(
        tmp_path,
        "images/1.jpg",
        "masks/1.png",
        "images/lonely.jpg",
        "masks/lost.png",
        "images/2.jpg",
        "images/2.png",
        "masks/2.png",
        "images/.hidden",
    )
    listing = _list(tmp_path)
    reasons = {
        pathlib.Path(e.path).relative_to(tmp_path).as_posix(): e.reason
        for e in listing.dropped
    }
    assert len(listing.examples) == 1
    assert reasons == {
        "images/lonely.jpg": "a picture without a mask of the same name",
        "masks/lost.png": "a mask without a picture of the same name",
        "images/2.jpg": "several pictures have this name without suffix",
        "images/2.png": "several pictures have this name without suffix",
        "masks/2.png": "several pictures have this name without suffix",
        "images/.hidden": "a hidden file",
    }


def test_a_folder_of_class_folders_is_not_recognized(tmp_path):
    _make(tmp_path, "cats/1.jpg", "images/1.jpg")
    assert not image_mask_pairs.SOURCE.recognizes(str(tmp_path))
    assert not image_mask_pairs.SOURCE.recognizes(str(tmp_path / "missing"))


def test_no_pair_at_all_is_an_error_that_says_why(tmp_path):
    _make(tmp_path, "images/a.jpg", "masks/b.png")
    with pytest.raises(errors.DataError, match="name of its picture"):
        _list(tmp_path)
    with pytest.raises(errors.DataError, match="images/ and masks/"):
        _list(_make(tmp_path / "other", "cats/1.jpg"))


def test_two_folders_of_one_split_are_an_error(tmp_path):
    for split in ("val", "validation"):
        _make(tmp_path, f"{split}/images/1.jpg", f"{split}/masks/1.png")
    with pytest.raises(
        errors.DataError, match="two folders for the validation"
    ):
        _list(tmp_path)
