"""What is said when much of a class or a split cannot be used."""

import pytest

from tf_finetune.data import dropped_files, examples
from tf_finetune.tasks.classification import labels as classes
from tf_finetune.tasks.segmentation import labels as masks

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
    dropped_files.warn_of_many(listed, _dropped(listed), classes.LABELS)
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
    dropped_files.warn_of_many(listed, _dropped(listed), classes.LABELS)
    (line,) = caplog.messages
    assert line.startswith("6 of 18 files of the split 'test' cannot be used")


def test_a_loss_of_masks_is_one_of_all_pictures(caplog):
    listed = [
        examples.Example(path=each.path, label=examples.Mask(path="m.png"))
        for each in _listed(4, 4)
    ]
    dropped_files.warn_of_many(listed, _dropped(listed), masks.LABELS)
    (line,) = caplog.messages
    assert line.startswith("4 of 8 files cannot be used")


def test_the_losses_of_many_classes_end_after_ten(caplog):
    listed = [e for n in range(30) for e in _listed(1, 1, label=f"c{n}")]
    dropped_files.warn_of_many(listed, _dropped(listed), classes.LABELS)
    (line,) = caplog.messages
    assert "and 20 more cannot be used" in line
    assert line.count("of the class") == 10


def test_texts_beside_pictures_are_no_loss(caplog):
    listed = _listed(4, 0)
    texts = [examples.Example(path=f"a/{n}.txt", label="a") for n in range(4)]
    dropped = [
        examples.DroppedFile(path=e.path, reason="plain text") for e in texts
    ]
    dropped_files.warn_of_many([*listed, *texts], dropped, classes.LABELS)
    assert caplog.messages == []
