"""What is refused of a table of numbers before TensorFlow starts."""

import numpy as np
import pytest
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.data import scan
from tf_finetune.preflight import train
from tf_finetune.tasks import catalog


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
