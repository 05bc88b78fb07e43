"""Tests of tf_finetune/tasks/regression/target_fit.py."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.data import examples
from tf_finetune.tasks import catalog


def _adapted(kind: str, validation: float):
    skewed = np.exp(np.random.default_rng(0).normal(3, 1, 100))
    pictures = [
        examples.Picture(
            path=f"{split}_{number}.png",
            label=(float(value),),
            split=split,
            sha256=f"{split}{number:060d}",
            width=8,
            height=8,
        )
        for split, values in (
            ("train", skewed),
            ("validation", [5.0, validation]),
        )
        for number, value in enumerate(values)
    ]
    data = examples.ImageData(
        class_names=("price",),
        pictures=tuple(pictures),
        dropped=(),
        fingerprint="",
    )
    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": "t.csv", "task": "regression", "target_transform": kind},
    )
    task = catalog.TASKS.get("regression").fit_to_data(data, config)
    return task.network.transform


def test_auto_takes_no_logarithm_where_any_split_has_none(caplog):
    assert _adapted("auto", 7.0).logged == (True,)
    for value in (0.0, -3.0):
        transform = _adapted("auto", value)
        assert transform.logged == (False,)
        assert np.isfinite(transform.forward(np.array([[value]]))).all()


def test_log_names_the_picture_that_has_none_whatever_its_split():
    with pytest.raises(
        errors.DataError, match=r"validation_1\.png: .*'price' is 0"
    ):
        _adapted("log", 0.0)
