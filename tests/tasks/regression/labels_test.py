"""Tests of tf_finetune/tasks/regression/labels.py."""

import collections
import pathlib

import numpy as np
import pytest
import sample_pictures
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import data_options, options, train_config
from tf_finetune.data import examples, scan, splits
from tf_finetune.preflight import train
from tf_finetune.tasks import catalog
from tf_finetune.tasks.regression import labels

_LABELS = labels.LABELS
_OPTIONS = data_options.DataOptions(label_column=("price", "area"))


def _picture(number: int, value: float, **fields) -> examples.Picture:
    return sample_pictures.make_picture(
        f"{number}.png", (value,), f"{number:04d}", **fields
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


def _divide(pictures, *, test_fraction, seed):
    divided, _ = splits.assign_splits(
        pictures,
        _LABELS,
        validation_fraction=0.2,
        test_fraction=test_fraction,
        max_train_per_class=None,
        seed=seed,
    )
    return divided


def test_every_split_gets_its_share_of_low_and_high_targets():
    pictures, _ = _LABELS.add_strata(
        [_picture(i, float(i)) for i in range(200)], ("y",)
    )
    assert len({picture.strata for picture in pictures}) == 10
    divided = _divide(pictures, test_fraction=0.2, seed=0)
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
    divided = _divide(pictures, test_fraction=0.0, seed=1)
    assert {each.split for each in divided} == {"train", "validation"}


def test_the_description_holds_each_target_and_split():
    data = sample_pictures.make_data(
        ("y",),
        (_picture(i, v, split="train") for i, v in enumerate((1.0, 2.0, 6.0))),
    )
    found = _LABELS.describe(data)["targets"]["train"]["y"]
    assert found["median"] == 2 and found["mean"] == 3 and found["max"] == 6
    assert found["deviation"] == pytest.approx((14 / 3) ** 0.5)


def test_equal_labels_alone_have_equal_texts():
    assert _LABELS.text((0.1, 2.0)) != _LABELS.text((0.1 + 1e-16 * 2, 2.0))
    assert _LABELS.text((0.5,)) == "0.5"


@pytest.fixture
def table(tmp_path):
    """A function: columns → the path of a table of twenty pictures."""
    for number in range(20):
        pixels = np.full([8, 8, 3], 10 * number, "uint8")
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")

    def write(**columns):
        lines = [",".join(["image", *columns])]
        for number, cells in enumerate(zip(*columns.values(), strict=True)):
            lines.append(",".join([f"{number}.png", *map(str, cells)]))
        (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "table.csv"

    return write


def _check(path, tmp_path, **keywords):
    config = options.from_keywords(
        train_config.TrainConfig,
        {
            "data": str(path),
            "task": "regression",
            "label_column": "price",
            "weights": "none",
            "cache_dir": str(tmp_path / "cache"),
            **keywords,
        },
    )
    train.check_config(config)
    labels = catalog.TASKS.get("regression").labels
    inspected = scan.list_and_inspect(
        config.data, labels, cache_dir=config.output.cache_folder
    )
    train.check_pictures(config, inspected)


_MS = [1_700_000_000_000 + 30_000 * i for i in range(20)]
_PLAIN = [float(i) for i in range(20)]


def test_targets_with_a_large_offset_are_refused_by_name(table, tmp_path):
    with pytest.raises(
        errors.DataError, match="'price' lie between 1700000000000 and"
    ):
        _check(table(price=_MS), tmp_path)
    _check(table(price=[ms - 1_700_000_000_000 for ms in _MS]), tmp_path)


def test_so_is_a_second_target(table, tmp_path):
    with pytest.raises(errors.DataError, match="the target 'ms'"):
        _check(
            table(price=_PLAIN, ms=_MS), tmp_path, label_column=("price", "ms")
        )


def test_so_is_a_column_of_numbers_beside_the_pictures(table, tmp_path):
    path = table(price=_PLAIN, ms=_MS)
    _check(path, tmp_path)  # Nothing reads it.
    with pytest.raises(errors.DataError, match="the numbers 'ms'.*Subtract"):
        _check(path, tmp_path, numeric_columns="ms")


@pytest.mark.parametrize("cell", ["1e308", "-1e308", "nan", "inf", "x"])
@pytest.mark.parametrize("column", ["price", "size"])
def test_a_cell_that_is_no_number_is_named_with_its_line(
    table, tmp_path, cell, column
):
    columns = {"price": list(_PLAIN), "size": list(_PLAIN)}
    columns[column][4] = cell
    with pytest.raises(
        errors.DataError, match=f"table.csv, line 6: .*{column}.*{cell}"
    ):
        _check(table(**columns), tmp_path, numeric_columns="size")


def test_numbers_that_double_precision_cannot_tell_apart(table, tmp_path):
    path = table(price=[1_700_000_000_000_000_000 + i for i in range(20)])
    with pytest.raises(errors.DataError, match="subtract the lowest from all"):
        _check(path, tmp_path)


def test_a_logarithm_of_close_numbers_is_refused(table, tmp_path):
    path = table(price=[5_600_000 + i for i in range(1, 2000, 100)])
    _check(path, tmp_path)
    with pytest.raises(errors.DataError, match="--target_transform=none"):
        _check(path, tmp_path, target_transform="log")


def test_a_bound_that_costs_digits_is_refused(table, tmp_path):
    path = table(price=_PLAIN)
    _check(path, tmp_path, target_range=(-100.0, 100.0))
    with pytest.raises(errors.DataError, match="--target_range=-1e.09,1e.09"):
        _check(path, tmp_path, target_range=(-1e9, 1e9))


def test_training_targets_alone_may_be_too_close(table, tmp_path):
    # The test pictures are wide apart, those of training are not.
    prices = [*_MS[:14], *(0, 1, 2, 3, 4, 5)]
    splits = ["train"] * 10 + ["validation"] * 4 + ["test"] * 6
    path = table(price=prices, split=splits)
    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": str(path), "task": "regression", "label_column": "price"},
    )
    labels = catalog.TASKS.get("regression").labels
    inspected = scan.list_and_inspect(
        config.data, labels, cache_dir=tmp_path / "cache"
    )
    with pytest.raises(errors.DataError, match="training pictures.*Subtract"):
        scan.clean_and_split(inspected, {}, config.data, seed=0)
