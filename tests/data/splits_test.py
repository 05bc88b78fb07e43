"""Which split a picture comes into, and which data cannot be divided."""

import collections
import dataclasses

import pytest
import sample_pictures

from tf_finetune import errors
from tf_finetune.data import examples, splits
from tf_finetune.tasks.classification import labels as classes


def _picture(number, label="a", split=None, group=None, content=None):
    return sample_pictures.make_picture(
        f"/p/{number}.jpg",
        label,
        content or f"{number:064x}",
        split,
        strata=(label,),
        group=group,
    )


def _two_classes(n, split=None, start=0):
    return [_picture(start + k, "ab"[k % 2], split) for k in range(2 * n)]


def _assign(pictures, **changes):
    settings = {
        "validation_fraction": 0.15,
        "test_fraction": None,
        "max_train_per_class": None,
        "seed": 0,
    }
    return splits.assign_splits(
        pictures, classes.LABELS, **(settings | changes)
    )


def _counts(pictures):
    return collections.Counter(p.split for p in pictures)


def test_without_splits_validation_and_test_are_drawn():
    pictures, dropped = _assign(_two_classes(100))
    assert _counts(pictures) == {"train": 140, "validation": 30, "test": 30}
    assert dropped == ()
    for split in examples.SPLITS:
        labels = [p.label for p in pictures if p.split == split]
        assert labels.count("a") == labels.count("b")


def test_test_fraction_zero_draws_no_test():
    pictures, _ = _assign(_two_classes(10), test_fraction=0.0)
    assert set(_counts(pictures)) == {"train", "validation"}


def test_given_splits_are_kept():
    given = _two_classes(10, "train") + _two_classes(5, "validation", 100)
    pictures, dropped = _assign(given)
    assert list(pictures) == given
    assert dropped == ()


def test_missing_validation_is_drawn_from_train():
    given = _two_classes(50, "train") + _two_classes(5, "test", 500)
    pictures, _ = _assign(given, validation_fraction=0.2)
    assert _counts(pictures) == {"train": 80, "validation": 20, "test": 10}
    assert pictures[100:] == tuple(given[100:])


def test_test_is_drawn_beside_given_splits_only_on_request():
    given = _two_classes(50, "train") + _two_classes(5, "validation", 500)
    pictures, _ = _assign(given, test_fraction=0.1)
    assert _counts(pictures) == {"train": 90, "validation": 10, "test": 10}


def test_pictures_with_and_without_split_are_refused():
    mixed = _two_classes(5, "train") + _two_classes(5, None, 100)
    with pytest.raises(errors.DataError, match="10 of 20 pictures have no spl"):
        splits.check_pictures(mixed, classes.LABELS)


def test_group_split_keeps_a_patient_on_one_side():
    pictures = [
        dataclasses.replace(p, group=f"patient {k // 4}")
        for k, p in enumerate(_two_classes(40))
    ]
    divided, _ = _assign(pictures)
    sides = {(each.group, each.split) for each in divided}
    assert len({group for group, _ in sides}) == len(sides) == 20


def test_byte_identical_pictures_stay_on_one_side():
    pictures = [
        _picture(k, "ab"[k % 2], content=f"{k // 4 * 2 + k % 2:064}")
        for k in range(80)
    ]
    divided, dropped = _assign(pictures)
    sides = {(each.sha256, each.split) for each in divided}
    assert len({sha256 for sha256, _ in sides}) == len(sides) == 40
    assert dropped == ()


def test_group_in_two_given_splits_is_refused_by_name():
    given = _two_classes(5, "train") + _two_classes(5, "test", 100)
    given[0] = dataclasses.replace(given[0], group="patient 7")
    given[-1] = dataclasses.replace(given[-1], group="patient 7")
    with pytest.raises(errors.DataError, match="'patient 7' is in two"):
        _assign(given)


def test_training_picture_equal_to_a_held_out_one_is_dropped():
    given = (
        _two_classes(5, "train")
        + _two_classes(3, "validation", 100)
        + _two_classes(3, "test", 200)
    )
    given.append(_picture(300, "a", "train", content=given[10].sha256))
    given.append(_picture(301, "b", "validation", content=given[-2].sha256))
    pictures, dropped = _assign(given)
    assert {d.path: d.reason for d in dropped} == {
        "/p/300.jpg": "byte-identical to a validation picture: /p/100.jpg",
        "/p/301.jpg": f"byte-identical to a test picture: {given[-3].path}",
    }
    assert list(pictures) == given[:-2]


def test_copies_within_a_given_split_stay():
    given = _two_classes(5, "train") + _two_classes(3, "validation", 100)
    given.append(_picture(300, "a", "train", content=given[0].sha256))
    pictures, dropped = _assign(given)
    assert len(pictures) == 17
    assert dropped == ()


def test_validation_that_is_a_copy_of_test_is_refused():
    given = _two_classes(5, "train") + _two_classes(3, "test", 100)
    given += [dataclasses.replace(p, split="validation") for p in given[10:]]
    with pytest.raises(errors.DataError, match="nothing is left of the valid"):
        _assign(given)


def test_no_training_split_is_refused():
    given = _two_classes(5, "validation") + _two_classes(3, "test", 100)
    with pytest.raises(errors.DataError, match="no training pictures"):
        _assign(given)


def test_single_class_is_refused():
    with pytest.raises(errors.DataError, match="single class, 'a'"):
        splits.check_pictures([_picture(0), _picture(1)], classes.LABELS)


def test_class_with_one_picture_is_refused():
    with pytest.raises(errors.DataError, match="'b' has one usable picture"):
        splits.check_pictures(
            [_picture(0), _picture(1), _picture(2, "b")], classes.LABELS
        )


def test_no_picture_is_refused():
    with pytest.raises(errors.DataError, match="no usable picture"):
        splits.check_pictures([], classes.LABELS)


def test_class_too_small_for_three_splits_is_named():
    pictures = [*_two_classes(20), _picture(900, "c"), _picture(901, "c")]
    words = "'c' cannot.*its 2 pictures.* Or do without test: --test_fraction=0"
    with pytest.raises(errors.DataError, match=words):
        _assign(pictures)
    divided, _ = _assign(pictures, test_fraction=0.0)
    assert {p.split for p in divided if p.label == "c"} == {
        "train",
        "validation",
    }


def test_class_of_copies_cannot_be_divided():
    pictures = _two_classes(20)
    pictures += [_picture(900 + k, "c", content="x") for k in range(8)]
    with pytest.raises(
        errors.DataError,
        match="8 pictures, with copies .* counted once, are 1.*splits.$",
    ):
        _assign(pictures, test_fraction=0.0)


def test_held_out_class_without_training_pictures_is_refused():
    given = _two_classes(5, "train") + _two_classes(3, "validation", 100)
    given += [_picture(900 + k, "c", "validation") for k in range(3)]
    with pytest.raises(errors.DataError, match="'c' has validation pictures"):
        _assign(given)


def test_max_train_per_class_keeps_a_seeded_part():
    given = _two_classes(50)
    pictures, dropped = _assign(given, max_train_per_class=7)
    train = [p for p in pictures if p.split == "train"]
    assert collections.Counter(p.label for p in train) == {"a": 7, "b": 7}
    assert len(pictures) + len(dropped) == 100
    assert {d.reason for d in dropped} == {"beyond --max_train_per_class=7"}
    again, _ = _assign(given[::-1], max_train_per_class=7)
    assert set(again) == set(pictures)
    other, _ = _assign(given, max_train_per_class=7, seed=1)
    assert set(other) != set(pictures)


def test_held_out_pictures_do_not_depend_on_max_train_per_class():
    given = _two_classes(50)
    held_out = [
        {p.path for p in _assign(given, max_train_per_class=n)[0]
         if p.split != "train"}
        for n in (3, None)
    ]  # fmt: skip
    assert held_out[0] == held_out[1]


def test_max_train_per_class_larger_than_a_class_drops_nothing():
    pictures, dropped = _assign(_two_classes(5), max_train_per_class=100)
    assert len(pictures) == 10
    assert dropped == ()
