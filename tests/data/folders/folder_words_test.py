"""What the names of folders say."""

import pytest

from tf_finetune.data.folders import folder_words


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("train", "train"),
        ("Train Data", "train"),
        ("training_set", "training"),
        ("train_images", "train"),
        ("TrainSet", "train"),
        ("trainset", "train"),
        ("train2017", "train"),
        ("train-val", "trainval"),
        ("trainval", "trainval"),
        ("Validation", "validation"),
        ("val_set", "val"),
        ("devset", "dev"),
        ("hold-out", "holdout"),
        ("held_out", "heldout"),
        ("TESTING", "testing"),
        ("test1", "test"),
    ],
)
def test_a_name_of_nothing_but_a_split_is_plain(name, word):
    parsed = folder_words.parse_name(name)
    assert parsed.split == word
    assert parsed.is_plain


@pytest.mark.parametrize(
    "name",
    ["trainer", "validate ticket", "contest", "valley", "train_val_test",
     "invalid", "testimony", "evaluate", "trains", "attestation"],
)  # fmt: skip
def test_words_that_only_begin_alike_name_no_split(name):
    assert folder_words.parse_name(name).split == ""


def test_a_word_beside_that_of_a_split_makes_it_no_plain_name():
    assert not folder_words.parse_name("test tube").is_plain
    assert not folder_words.parse_name("seg_train").is_plain


def test_names_that_differ_in_the_split_alone_are_splits():
    names = ["birds_train", "birds_test", "birds_pred", "test tube"]
    assert folder_words.select_split_names(names) == [
        "birds_train",
        "birds_test",
    ]
    assert folder_words.select_split_names(
        ["train", "trainer", "test tube"]
    ) == ["train"]


@pytest.mark.parametrize(
    ("name", "is_images", "is_masks"),
    [
        ("images", True, False),
        ("JPEGImages", True, False),
        ("leftImg8bit", True, False),
        ("train_imgs", True, False),
        ("SegmentationClass", False, True),
        ("gtFine", False, True),
        ("trainannot", False, True),
        ("ground-truth", False, True),
        ("masks_png", False, True),
        ("images_and_masks", False, False),
        ("cats", False, False),
    ],
)
def test_names_of_pictures_and_of_masks_are_told_apart(
    name, is_images, is_masks
):
    parsed = folder_words.parse_name(name)
    assert (parsed.is_images, parsed.is_masks) == (is_images, is_masks)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "eval"), ("train", "validation")),
        (("train", "val", "eval"), ("train", "validation", "test")),
        (("train", "test", "eval"), ("train", "test", "validation")),
        (("train", "val", "test", "eval"), ("train", "validation", "test", "")),
        (("train", "dev", "holdout"), ("train", "validation", "test")),
        (("train", "holdout"), ("train", "test")),
        (("train", "test", "holdout"), ("train", "test", "validation")),
        (("trainval", "test"), ("train", "test")),
        (
            ("train", "val", "trainval", "test"),
            ("train", "validation", "", "test"),
        ),
        (("trainval", "val"), ("", "validation")),
    ],
)
def test_names_are_the_splits_that_no_other_name_is(names, splits):
    assigned = folder_words.assign_splits(names)
    assert tuple(assigned.split_of.get(n, "") for n in names) == splits
    left = {n for n, split in zip(names, splits, strict=True) if not split}
    assert assigned.redundant.keys() == left
