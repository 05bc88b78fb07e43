"""Which folders hold pictures and which their masks."""

import os
import pathlib

import pytest

from tf_finetune import errors


def _names(listing):
    return {
        (
            pathlib.Path(each.path).name,
            pathlib.Path(each.label.path).name,
            each.split,
        )
        for each in listing.examples
    }


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("image/{}.jpg", "label/{}.png"),
        ("images/{}.png", "labels/{}.png"),
        ("img/{}.png", "gt/{}.png"),
        ("imgs/{}.jpg", "masks_png/{}.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("photos/{}.jpg", "annotations/{}.png"),
        ("data/images/{}.jpg", "data/masks/{}.png"),
        ("x/ISIC_Data/{}.jpg", "x/ISIC_GroundTruth/{}.png"),
        ("{}.jpg", "mask/{}.png"),
        ("images/{}.jpg", "images/masks/{}.png"),
        ("segmentation/images/{}.jpg", "segmentation/masks/{}.png"),
        ("images/{}.jpg", "masks/{}_mask.png"),
        ("images/{}.jpg", "masks/mask_{}.png"),
        ("images/{}.jpg", "masks/{}_seg.png"),
        ("images/{}.jpg", "masks/GT_{}.png"),
        ("images/{}.jpg", "masks/{}-label.png"),
        ("images/{}.jpg", "masks/{}L.png"),
        ("images/img_{}.jpg", "masks/mask_{}.png"),
        ("images/{}_training.jpg", "masks/{}_manual1.png"),
        ("images/b ({}).png", "masks/b ({})_mask.png"),
        ("{}.png", "{}_mask.png"),
        ("benign/{}.png", "benign/{}_gt.png"),
    ],
)
def test_masks_are_found_by_folders_and_by_one_affix(
    make, listed, images, masks
):
    listing = listed(make({images: 12, masks: 12}), task="segmentation")
    assert listing.dropped == ()
    assert _names(listing) == {
        (
            os.path.basename(images.format(n)),
            os.path.basename(masks.format(n)),
            None,
        )
        for n in range(12)
    }


@pytest.mark.parametrize(
    ("train", "held_out", "split"),
    [
        (("train/images", "train/masks"), ("eval/images", "eval/masks"),
         "validation"),
        (("train", "train_masks"), ("test", "test_masks"), "test"),
        (("train", "trainannot"), ("val", "valannot"), "validation"),
        (("images/training", "annotations/training"),
         ("images/validation", "annotations/validation"), "validation"),
        (("leftImg8bit/train/x", "gtFine/train/x"),
         ("leftImg8bit/val/y", "gtFine/val/y"), "validation"),
        (("train", "train/mask"), ("test", "test/mask"), "test"),
        (("seg_train/images", "seg_train/masks"),
         ("seg_test/images", "seg_test/masks"), "test"),
    ],
)  # fmt: skip
def test_splits_lie_on_either_side(make, listed, train, held_out, split):
    counts = {f"{place}/{{}}.png": 4 for place in train}
    counts |= {f"{place}/{{}}.png": 2 for place in held_out}
    found = _names(listed(make(counts), task="segmentation"))
    assert found == {(f"{n}.png", f"{n}.png", "train") for n in range(4)} | {
        (f"{n}.png", f"{n}.png", split) for n in range(2)
    }


def test_one_odd_name_does_not_spoil_the_rule(make, listed, caplog):
    caplog.set_level("INFO")
    root = make({"images/{}.jpg": 12, "masks/{}_mask.png": 10})
    make({"masks/odd.png": 1, "masks/11.png": 1})
    listing = listed(root, task="segmentation")
    assert len(listing.examples) == 11  # 11.png has its picture's name.
    assert {os.path.basename(each.path) for each in listing.dropped} == {
        "10.jpg",
        "odd.png",
    }
    (line,) = [m for m in caplog.messages if "'_mask' at the end" in m]
    assert "masks/0_mask.png is the mask of images/0.jpg" in line


def test_drawings_of_masks_are_no_masks(make, listed):
    root = make(
        {
            "images/{}_leftImg8bit.png": 5,
            "masks/{}_gtFine_color.png": 5,
            "masks/{}_gtFine_instanceIds.png": 5,
            "masks/{}_gtFine_labelIds.png": 5,
        }
    )
    listing = listed(root, task="segmentation")
    assert len(listing.examples) == 5
    assert all("labelIds" in e.label.path for e in listing.examples)
    assert len(listing.dropped) == 10


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"images/{}.jpg": 3, "masks/{}.png": 3, "labels/{}.png": 3},
         "labels/ and masks/, which both look like the masks"),
        ({"images/{}.jpg": 3, "masks/{}_a.png": 3, "masks/{}_b.png": 3},
         "'_a' at the end and '_b' at the end"),
        ({"images/{}.jpg": 3, "labels/{}.txt": 3}, r"3 files \(\.txt\)"),
        ({"x/{}.jpg": 3, "y/{}.png": 3}, "call them images/ and masks/"),
        ({"cats/{}.jpg": 3, "dogs/{}.png": 3, "owls/{}.jpg": 3},
         "holds no pictures with masks; it must hold images/"),
    ],
)  # fmt: skip
def test_what_masks_are_meant_must_be_told(make, listed, counts, said):
    with pytest.raises(errors.DataError, match=said):
        listed(make(counts), task="segmentation")


@pytest.mark.parametrize("top", ["", "training/"])
@pytest.mark.parametrize("rival", ["1st_manual/{}_manual1.gif", "seg/{}.png"])
def test_a_second_folder_that_may_hold_the_masks_must_be_moved(
    make, listed, top, rival
):
    counts = {"images/{}_training.tif": 12, "mask/{}_mask.gif": 12, rival: 12}
    root = make({f"{top}{name}": count for name, count in counts.items()})
    with pytest.raises(errors.DataError) as raised:
        listed(root, task="segmentation")
    assert f"{rival.partition('/')[0]}/" in str(raised.value)
    # What the message says: it is in masks/, and the other is elsewhere.
    (root / top / "mask").rename(root.parent / "elsewhere")
    (root / top / rival.partition("/")[0]).rename(root / top / "masks")
    assert len(listed(root, task="segmentation").examples) == 12


@pytest.mark.parametrize(
    "other", ["overlays/{}.png", "unlabelled/{}.png", "notes/{}x{}.png"]
)
def test_other_folders_beside_masks_are_left_aside(make, listed, other):
    if other.startswith("notes"):
        other = "notes/a{}b.png"
    root = make({"images/{}.jpg": 12, "masks/{}.png": 12, other: 4})
    assert len(listed(root, task="segmentation").examples) == 12


def test_pictures_without_masks_are_counted_by_folder(make, listed, caplog):
    root = make({"images/{}.jpg": 3, "masks/{}.png": 3, "unlabelled/{}.jpg": 9})
    listing = listed(root, task="segmentation")
    assert len(listing.examples) == 3
    assert "unlabelled/ (9 pictures) is not used" in caplog.text
    make({"images/more{}.jpg": 5})
    listed(root, task="segmentation")
    assert "5 of 8 pictures have no mask and are left out" in caplog.text


@pytest.mark.parametrize(
    "counts",
    [
        {"images/{}.png": 4, "masks/{}.png": 4},
        {"image/{}.png": 4, "label/{}.png": 4},
        {"images/{}.png": 4, "labels/{}.png": 4},
        {"images/{}.png": 4, "masks/{}.png": 4, "unlabelled/{}.png": 4},
        {"train/images/{}.png": 4, "train/masks/{}.png": 4},
        {"train/{}.png": 4, "train_masks/{}_mask.png": 4, "test/{}.png": 2},
        {"ISIC_Data/{}.jpg": 4, "ISIC_GroundTruth/{}_segmentation.png": 4},
        {"benign/{}.png": 4, "benign/{}_mask.png": 4, "normal/{}.png": 3},
        {"COVID/images/{}.png": 4, "COVID/masks/{}.png": 4},
    ],
)
def test_masks_are_not_learned_as_classes(make, listed, counts):
    root = make(counts)
    with pytest.raises(errors.DataError, match="Use --task=segmentation"):
        listed(root)
    assert len(listed(root, task="segmentation").examples) == 4


def test_folders_of_pictures_and_masks_may_be_classes(make, counted):
    root = make({"images/{}.png": 4, "masks/{}.png": 4})
    with pytest.raises(errors.DataError, match="give --class_level=1"):
        counted(root)
    assert counted(root, class_level=1) == {
        (None, "images"): 4,
        (None, "masks"): 4,
    }


def test_boxes_beside_pictures_are_no_class(make, listed):
    root = make({"images/{}.png": 4, "labels/{}.txt": 4})
    with pytest.raises(errors.DataError, match="Boxes.* are not read"):
        listed(root)
