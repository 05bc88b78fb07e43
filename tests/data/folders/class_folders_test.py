"""Which folders are classes, which are splits, and what is refused."""

import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.data.folders import folder_tree

_OWN = pathlib.Path


def _two(place: str, count: int) -> dict[str, int]:
    return {f"{place}/{name}/{{}}.jpg": count for name in ("a", "b")}


def _both(**counts: int) -> dict[tuple[str | None, str], int]:
    return {(s, n): c for s, c in counts.items() for n in ("a", "b")}


@pytest.mark.parametrize(
    "names",
    [
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set", "test_set"),
        ("Train Data", "Test Data"),
        ("train_images", "test_images"),
        ("train2017", "test2017"),
        ("trainval", "testing"),
        ("birds_train", "birds_test"),
        ("chest_train", "test"),
        ("train/images", "test/images"),
        ("train", "holdout"),
    ],
)
def test_splits_are_told_by_words_in_their_names(make, counted, names):
    train, test = names
    root = make(_two(train, 4) | _two(test, 2))
    assert counted(root) == _both(train=4, test=2)


def test_eval_is_validation_and_test_beside_val(make, counted, caplog):
    root = make(_two("train", 4) | _two("eval", 2))
    assert counted(root) == _both(train=4, validation=2)
    assert "eval/ is the validation split" in caplog.text
    make(_two("val", 3))
    assert counted(root) == _both(train=4, validation=3, test=2)
    assert "eval/ is the test split" in caplog.text


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "TEST")])
def test_plain_names_of_splits_need_no_word(make, counted, caplog, names):
    counted(make(_two(names[0], 4) | _two(names[1], 2)))
    assert caplog.messages == []


def test_a_split_too_many_is_named_with_its_pictures(make, counted, caplog):
    counts = _two("train", 4) | _two("val", 2) | _two("test", 2)
    root = make(counts | _two("eval", 3))
    assert counted(root) == _both(train=4, validation=2, test=2)
    assert "eval/ (6 pictures) is not used: val/ is" in caplog.text


def test_pictures_without_a_class_beside_splits_are_counted(
    make, listed, caplog
):
    counts = _two("seg_train/seg_train", 4) | _two("seg_test/seg_test", 2)
    root = make(counts | {"seg_pred/seg_pred/{}.jpg": 9})
    listing = listed(root)
    assert "seg_pred/ (9 pictures) is not used" in caplog.text
    (dropped,) = listing.dropped
    assert (_OWN(dropped.path).name, dropped.pictures) == ("seg_pred", 9)


@pytest.mark.parametrize(
    ("train", "others"),
    [
        ("train", ("sample_images", "extra")),
        ("training_set", ("logos", "drafts")),
        ("train", ("logos",)),
    ],
)
def test_folders_of_pictures_beside_training_are_no_classes(
    make, counted, caplog, train, others
):
    root = make(_two(train, 4) | {f"{name}/{{}}.jpg": 2 for name in others})
    assert counted(root) == _both(train=4)
    for name in others:
        assert f"{name}/ (2 pictures)" in caplog.text


@pytest.mark.parametrize("place", ["val", "val/images", "val/val"])
def test_a_split_without_class_folders_is_left_out(
    make, counted, caplog, place
):
    root = make(_two("train", 4) | {place + "/{}.jpg": 5})
    assert counted(root) == _both(train=4)
    assert "val/ (5 pictures) is not used" in caplog.text


def test_splits_below_the_classes_are_read(make, counted, caplog):
    counts = {"a/train/{}.jpg": 4, "a/val/{}.jpg": 2}
    counts |= {"b/train/{}.jpg": 4, "b/val/{}.jpg": 2, "b/old/{}.jpg": 3}
    assert counted(make(counts)) == _both(train=4, validation=2)
    assert "CLASS/val/ is validation" in caplog.text
    assert "b/old/ (3 pictures) is not used" in caplog.text


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        (
            {"train/{}.jpg": 5, "trainer/{}.jpg": 3, "test tube/{}.jpg": 3},
            {"train", "trainer", "test tube"},
        ),
        (
            {"validate ticket/{}.jpg": 5, "evaluation form/{}.jpg": 3},
            {"validate ticket", "evaluation form"},
        ),
        (
            {"train/steam/{}.jpg": 5, "bus/{}.jpg": 3, "car/{}.jpg": 3},
            {"train", "bus", "car"},
        ),
        (
            {"train/steam/{}.jpg": 5, "train/diesel/{}.jpg": 1,
             "bus/city/{}.jpg": 3, "car/old/{}.jpg": 3},
            {"train", "bus", "car"},
        ),
        ({"valid/{}.jpg": 5, "invalid/{}.jpg": 3}, {"valid", "invalid"}),
        ({"with_mask/{}.jpg": 3, "without_mask/{}.jpg": 3},
         {"with_mask", "without_mask"}),
        ({"face/{}.jpg": 3, "mask/{}.jpg": 3}, {"face", "mask"}),
    ],
)  # fmt: skip
def test_classes_may_be_called_like_splits_and_masks(make, counted, counts,
                                                     names):  # fmt: skip
    found = counted(make(counts))
    assert {name for _, name in found} == names
    assert {split for split, _ in found} == {None}


def test_the_same_folders_in_folders_of_unknown_names_are_refused(
    make, counted
):
    root = make(_two("one", 4) | _two("other", 2))
    with pytest.raises(errors.DataError, match="one/ and other/ hold fold"):
        counted(root)
    # What the message tells to do.
    assert counted(root, class_level=2) == {(None, "a"): 6, (None, "b"): 6}
    assert counted(root, class_level=1) == {
        (None, "one"): 8,
        (None, "other"): 4,
    }
    (root / "one").rename(root / "train")
    with pytest.raises(errors.DataError, match=r"train/ and other/ .*\(a and"):
        counted(root)
    (root / "other").rename(root / "test")
    assert counted(root) == _both(train=4, test=2)


def test_a_folder_too_deep_names_the_one_that_is_meant(make, counted):
    root = make(_two("flowers", 4) | {"LICENSE.txt": 1, ".git/{}": 2})
    with pytest.raises(errors.DataError) as caught:
        counted(root)
    assert f"--data={root}/flowers is probably meant" in str(caught.value)
    assert "2 folders with pictures (a and b)" in str(caught.value)
    assert counted(root / "flowers") == {(None, "a"): 4, (None, "b"): 4}
    assert counted(root, class_level=1) == {(None, "flowers"): 8}


@pytest.mark.parametrize(
    ("counts", "meant"),
    [
        (_two("x/y", 2), "/x/y"),
        (_two("x/train", 2) | _two("x/test", 2), "/x"),
        ({"x/pics/{}.jpg": 3, "x/labels.csv": 1}, "/x/labels.csv"),
        ({"pics/{}.jpg": 3, "labels.csv": 1}, "/labels.csv"),
    ],
)
def test_what_lies_deeper_is_named_whatever_it_is(make, counted, counts, meant):
    root = make(counts)
    with pytest.raises(errors.DataError, match=f"--data={root}{meant} is"):
        counted(root)


def test_an_archive_that_holds_itself_is_read_once(make, counted, caplog):
    root = make(_two(".", 4) | _two("cell_images", 4))
    assert counted(root) == {(None, "a"): 4, (None, "b"): 4}
    (line,) = caplog.messages
    assert "cell_images/ (8 pictures) is not used" in line


def test_splits_that_hold_themselves_are_read_once(make, counted, caplog):
    counts = _two("train", 4) | _two("test", 2)
    again = {f"chest/{pattern}": n for pattern, n in counts.items()}
    assert counted(make(counts | again)) == _both(train=4, test=2)
    assert "chest/ (12 pictures) is not used" in caplog.text


def test_a_folder_called_like_another_class_is_not_learned(
    make, counted, caplog
):
    root = make({"a/{}.jpg": 3, "b/{}.jpg": 3, "a/b/{}.jpg": 2})
    assert counted(root) == {(None, "a"): 3, (None, "b"): 3}
    assert "a/b/ (2 pictures) is not used" in caplog.text


def test_folders_below_classes_are_told_of(make, counted, caplog):
    root = make({"a/{}.jpg": 3, "b/x/{}.jpg": 3, "b/y/{}.jpg": 2})
    assert counted(root) == {(None, "a"): 3, (None, "b"): 5}
    assert "5 pictures in folders below b/ (x and y)" in caplog.text


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"train/{}.jpg": 24}, "train/ holds 24 pictures and no class folder"),
        (
            {"train/{}.jpg": 4, "test/{}.jpg": 1},
            r"test/ \(1 picture\) and train/ \(4 pictures\) hold no class",
        ),
        ({"train/{}.jpg": 4, "test/{}.jpg": 1, "more/{}.jpg": 1}, "hold no"),
        ({"train/images/{}.jpg": 4, "val/images/{}.jpg": 1}, "hold no"),
        (
            {
                "trainA/{}.jpg": 4,
                "trainB/{}.jpg": 1,
                "testA/{}.jpg": 1,
                "testB/{}.jpg": 1,
            },
            "hold no",
        ),
        ({"{}.jpg": 7}, "holds 7 pictures and no folder per class"),
    ],
)
def test_pictures_without_class_folders_are_counted(
    make, counted, counts, said
):
    with pytest.raises(errors.DataError, match=said):
        counted(make(counts))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (_two("train", 2) | _two("val", 2) | _two("valid", 2), "val/ and vali"),
        (_two("test", 2) | _two("testing", 2), "test/ and testing/"),
        (
            _two("x/train", 2) | _two("x/test", 2)
            | _two("y/train", 2) | _two("y/test", 2),
            "each with splits of class folders in it",
        ),
        (
            {"train/steam/{}.jpg": 2, "train/diesel/{}.jpg": 2,
             "bus/city/{}.jpg": 2, "bus/coach/{}.jpg": 2},
            "train/ and bus/.*--class_level=1",
        ),
        (_two("trainval/train", 2) | _two("trainval/val", 2) | _two("test", 2),
         "named like splits, too"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(make, counted, counts, said):
    with pytest.raises(errors.DataError, match=said):
        counted(make(counts))


def test_the_level_of_classes_keeps_splits_above(make, counted):
    counts = {}
    for site in ("x", "y"):
        counts |= _two(f"{site}/train", 2) | _two(f"{site}/test", 1)
    assert counted(make(counts), class_level=3) == _both(train=4, test=2)


def test_every_folder_is_listed_once(make, monkeypatch):
    root = make(_two("train", 3) | _two("test", 3))
    seen = []
    real = folder_tree.os.scandir

    def noting(path):
        seen.append(str(path))
        return real(path)

    monkeypatch.setattr(folder_tree.os, "scandir", noting)
    folder_tree.read_tree(str(root))
    assert len(seen) == len(set(seen)) == 7
