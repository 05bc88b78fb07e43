"""Tests of tf_finetune/tasks/regression/labels.py."""

import collections
import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, splits
from tf_finetune.tasks.regression import labels

_LABELS = labels.LABELS
_OPTIONS = data_options.DataOptions(label_column=("price", "area"))


def _picture(number: int, value: float, **fields) -> examples.Picture:
    return examples.Picture(
        path=f"{number}.png",
        label=(value,),
        sha256=f"{number:04d}",
        width=1,
        height=1,
        **fields,
    )


def _of(price: str) -> tuple[float, ...]:
    return _LABELS.read_row(
        {"price": price, "area": "2"}, "x.csv, line 3", pathlib.Path(), _OPTIONS
    )


def test_a_row_gives_a_number_for_each_column():
    assert _of("1e3") == (1000.0, 2.0)


@pytest.mark.parametrize(
    "cell", ["", "nan", "inf", "-Infinity", "cheap", "1,5"]
)
def test_what_is_no_finite_number_is_named_with_its_row(cell):
    with pytest.raises(errors.DataError) as caught:
        _of(cell)
    assert "x.csv, line 3: the target 'price'" in str(caught.value)
    assert repr(cell) in str(caught.value) or "empty" in str(caught.value)


def test_a_constant_target_is_an_error():
    with pytest.raises(errors.DataError, match="constant.*7"):
        _LABELS.check([_picture(0, 7), _picture(1, 7)])
    with pytest.raises(errors.DataError, match="training pictures"):
        _LABELS.check_divided(
            [
                _picture(0, 7, split="train"),
                _picture(1, 7, split="train"),
                _picture(2, 8, split="validation"),
            ]
        )


def test_every_split_gets_its_share_of_low_and_high_targets():
    pictures, _ = _LABELS.add_strata(
        [_picture(i, float(i)) for i in range(200)], ("y",)
    )
    assert len({picture.strata for picture in pictures}) == 10
    divided, _ = splits.assign_splits(
        pictures,
        _LABELS,
        validation_fraction=0.2,
        test_fraction=0.2,
        max_train_per_class=None,
        seed=0,
    )
    counts = collections.Counter(
        (each.split, each.label[0] // 20) for each in divided
    )
    for part in range(10):
        assert counts["validation", part] == 4
        assert counts["test", part] == 4


def test_few_pictures_and_equal_targets_are_divided_too():
    pictures, _ = _LABELS.add_strata(
        [_picture(i, float(i == 0)) for i in range(7)], ("y",)
    )
    divided, _ = splits.assign_splits(
        pictures,
        _LABELS,
        validation_fraction=0.2,
        test_fraction=0.0,
        max_train_per_class=None,
        seed=1,
    )
    assert {each.split for each in divided} == {"train", "validation"}


def test_the_description_holds_each_target_and_split():
    data = examples.ImageData(
        class_names=("y",),
        pictures=tuple(
            _picture(i, v, split="train") for i, v in enumerate((1.0, 2.0, 6.0))
        ),
        dropped=(),
        fingerprint="",
    )
    found = _LABELS.describe(data)["targets"]["train"]["y"]
    assert found["median"] == 2 and found["mean"] == 3 and found["max"] == 6
    assert found["deviation"] == pytest.approx((14 / 3) ** 0.5)


def test_equal_labels_alone_have_equal_texts():
    assert _LABELS.text((0.1, 2.0)) != _LABELS.text((0.1 + 1e-16 * 2, 2.0))
    assert _LABELS.text((0.5,)) == "0.5"
