"""Tests of tf_finetune/recommendation/picture_choice.py."""

import collections

import sample_pictures

from tf_finetune.data import examples
from tf_finetune.recommendation import picture_choice


def _pictures(**counts: int) -> list[examples.Picture]:
    return [
        sample_pictures.make_picture(
            f"{label}/{number}.jpg", label, f"{label}{number}", "train", side=9
        )
        for label, count in counts.items()
        for number in range(count)
    ]


def test_each_class_gives_as_many_as_it_has():
    ordered = picture_choice.order_pictures(_pictures(a=30, b=3), seed=0)
    chosen = picture_choice.choose_pictures(ordered, 5)
    assert collections.Counter(p.label for p in chosen) == {"a": 5, "b": 3}
    assert picture_choice.count_largest(ordered) == 30


def test_fewer_pictures_are_a_part_of_more():
    ordered = picture_choice.order_pictures(_pictures(a=30, b=30), seed=0)
    few = picture_choice.choose_pictures(ordered, 5)
    many = picture_choice.choose_pictures(ordered, 20)
    assert {p.path for p in few} < {p.path for p in many}


def test_the_order_hangs_on_seed_and_contents_alone():
    pictures = _pictures(a=30)
    usual = picture_choice.order_pictures(pictures, seed=0)
    assert picture_choice.order_pictures(pictures[::-1], seed=0) == usual
    assert picture_choice.order_pictures(pictures, seed=1) != usual


def test_of_equal_files_one_is_taken():
    pictures = _pictures(a=4)
    assert len(picture_choice.order_pictures(pictures * 2, seed=0)) == 4


def test_the_hash_changes_with_contents_and_labels():
    one, other = _pictures(a=3), _pictures(b=3)
    assert picture_choice.hash_pictures(one) == picture_choice.hash_pictures(
        _pictures(a=3)
    )
    hashes = {picture_choice.hash_pictures(p) for p in (one, other, one[:2])}
    assert len(hashes) == 3
