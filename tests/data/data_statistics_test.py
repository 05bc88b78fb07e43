"""What is written and said about the data."""

import json

import pytest

from tf_finetune.data import data_statistics, examples
from tf_finetune.tasks.classification import labels as classes
from tf_finetune.tasks.segmentation import labels as masks


def _picture(number, label, split, content=None, size=(10, 20), where="/p"):
    return examples.Picture(
        path=f"{where}/{number}.jpg",
        label=label,
        strata=(label,),
        sha256=content or f"{number}",
        width=size[0],
        height=size[1],
        split=split,
    )


def _data(dropped=()):
    pictures = (
        _picture(0, "a", "train", size=(1, 5)),
        _picture(1, "b", "train", size=(2, 6)),
        _picture(2, "b", "train", content="0", size=(9, 7)),
        _picture(3, "a", "validation", size=(4, 8)),
    )
    return examples.ImageData(
        class_names=("a", "b"),
        pictures=pictures,
        dropped=dropped,
        fingerprint="f",
    )


def test_description_counts_by_hand():
    dropped = (
        examples.DroppedFile(
            path="x", reason="larger than --max_pixels=9: 5 x 5"
        ),
        examples.DroppedFile(
            path="y", reason="larger than --max_pixels=9: 6 x 6"
        ),
        examples.DroppedFile(path="z", reason="an empty file"),
    )
    found = data_statistics.describe_data(_data(dropped), classes.LABELS)
    assert found["images"] == {"train": 3, "validation": 1}
    assert found["classes"] == {
        "train": {"a": 1, "b": 2},
        "validation": {"a": 1, "b": 0},
    }
    assert found["width"] == {"min": 1, "median": 3, "max": 9}
    assert found["height"] == {"min": 5, "median": 6.5, "max": 8}
    assert found["dropped"]["count"] == 3
    assert found["dropped"]["by_reason"] == {
        "larger than --max_pixels=9": 2,
        "an empty file": 1,
    }
    assert found["dropped"]["files"][2] == {
        "path": "z",
        "reason": "an empty file",
    }
    assert found["split_of"] == {"0": "train", "1": "train", "3": "validation"}
    assert found["duplicates"] == [
        {"sha256": "0", "paths": ["/p/0.jpg", "/p/2.jpg"]}
    ]
    assert found["conflicting_labels"] == [
        {"sha256": "0", "labels": {"/p/0.jpg": "a", "/p/2.jpg": "b"}}
    ]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def _fingerprint(names, pictures):
    return data_statistics.compute_fingerprint(names, pictures, classes.LABELS)


def test_fingerprint_ignores_order_and_place():
    one = [_picture(k, "a", "train") for k in range(3)]
    two = [_picture(k, "a", "train", where="/moved") for k in (2, 0, 1)]
    assert _fingerprint("a", one) == _fingerprint("a", two)


def test_fingerprint_sees_content_label_split_and_class_order():
    base = _picture(0, "a", "train")
    variants = [
        (("a", "b"), [base]),
        (("b", "a"), [base]),
        (("a", "b"), [base, base]),
        (("a", "b"), [_picture(1, "a", "train")]),
        (("a", "b"), [_picture(0, "b", "train")]),
        (("a", "b"), [_picture(0, "a", "test")]),
    ]
    found = {_fingerprint(*variant) for variant in variants}
    assert len(found) == len(variants)


def test_summary_counts_and_names_what_was_dropped():
    dropped = tuple(
        examples.DroppedFile(path=f"{k}\n.jpg", reason="an empty file")
        for k in range(3)
    ) + (
        examples.DroppedFile(path="q", reason="beyond --max_train_per_class=1"),
    )  # fmt: skip
    assert data_statistics.format_summary(
        _data(dropped), max_dropped=2
    ).splitlines() == [
        "4 pictures, 4 dropped, 2 classes: train 3, validation 1",
        "  dropped '0\\n.jpg': an empty file",
        "  dropped '1\\n.jpg': an empty file",
        "  2 more dropped files not listed here",
    ]


def test_summary_of_clean_data_is_one_line():
    assert data_statistics.format_summary(_data()) == (
        "4 pictures, 0 dropped, 2 classes: train 3, validation 1"
    )


_HEIC = "not an image that can be used: it is a HEIC"


def _listed(good: int, bad: int, *, label: str = "a", split=None):
    paths = [f"{label}/{n}.jpg" for n in range(good)]
    paths += [f"{label}/{n}.heic" for n in range(bad)]
    return [examples.Example(path=p, label=label, split=split) for p in paths]


def _dropped(listed):
    return [
        examples.DroppedFile(path=each.path, reason=_HEIC)
        for each in listed
        if each.path.endswith(".heic")
    ]


@pytest.mark.parametrize(("good", "bad", "is_said"), [(3, 1, 0), (12, 12, 1)])
def test_a_loss_of_more_than_a_quarter_is_warned_of(caplog, good, bad, is_said):
    listed = _listed(good, bad) + _listed(100, 0, label="b")
    data_statistics.warn_of_many_dropped(
        listed, _dropped(listed), classes.LABELS
    )
    assert len(caplog.messages) == is_said
    if is_said:
        (line,) = caplog.messages
        assert line.startswith("12 of 24 files of the class 'a' cannot be used")
        assert _HEIC in line
        assert "`magick mogrify -format png *.heic`" in line


def test_a_loss_of_a_split_is_warned_of(caplog):
    listed = [
        each
        for name in "abcdef"
        for each in (
            *_listed(40, 0, label=name, split="train"),
            *_listed(2, 1, label=name, split="test"),
        )
    ]
    data_statistics.warn_of_many_dropped(
        listed, _dropped(listed), classes.LABELS
    )
    (line,) = caplog.messages
    assert line.startswith("6 of 18 files of the split 'test' cannot be used")


def test_a_loss_of_masks_is_one_of_all_pictures(caplog):
    listed = [
        examples.Example(path=each.path, label=examples.Mask(path="m.png"))
        for each in _listed(4, 4)
    ]
    data_statistics.warn_of_many_dropped(listed, _dropped(listed), masks.LABELS)
    (line,) = caplog.messages
    assert line.startswith("4 of 8 files cannot be used")


def test_the_losses_of_many_classes_end_after_ten(caplog):
    listed = [e for n in range(30) for e in _listed(1, 1, label=f"c{n}")]
    data_statistics.warn_of_many_dropped(
        listed, _dropped(listed), classes.LABELS
    )
    (line,) = caplog.messages
    assert "and 20 more cannot be used" in line
    assert line.count("of the class") == 10


def test_texts_beside_pictures_are_no_loss(caplog):
    listed = _listed(4, 0)
    texts = [examples.Example(path=f"a/{n}.txt", label="a") for n in range(4)]
    dropped = [
        examples.DroppedFile(path=e.path, reason="plain text") for e in texts
    ]
    data_statistics.warn_of_many_dropped(
        [*listed, *texts], dropped, classes.LABELS
    )
    assert caplog.messages == []
