"""Tests of the comparison of batch-norm statistics with pictures."""

import logging
import types

import keras
import numpy as np
import pytest

from tf_finetune.config import options, train_config
from tf_finetune.runs import statistics_check


def _build() -> keras.Model:
    """A network whose norms expect means (1, 0) and (0, 0, 0)."""
    images = keras.Input((4, 4, 2))
    first = keras.layers.BatchNormalization(epsilon=0.0, name="first")
    second = keras.layers.BatchNormalization(epsilon=1.0, name="second")
    conv = keras.layers.Conv2D(3, 1, use_bias=False, kernel_initializer="ones")
    model = keras.Model(images, second(conv(first(images))))
    first.moving_mean.assign([1.0, 0.0])
    first.moving_variance.assign([4.0, 1.0])
    second.moving_variance.assign([3.0, 3.0, 15.0])
    return model


@pytest.fixture
def images():
    return np.broadcast_to(
        np.array([5.0, 3.0], "float32"), (10, 4, 4, 2)
    ).copy()


def test_distances_are_in_recorded_standard_deviations(images):
    found = statistics_check.measure_fit(_build(), images)
    # First: |5 - 1| / 2 and |3 - 0| / 1. It passes on 2 and 3, whose sum 5
    # enters the second: 5 / √(3 + 1), twice, and 5 / √(15 + 1).
    assert found.norms == 2
    assert found.median == pytest.approx(np.median([2, 3, 2.5, 2.5, 1.25]))
    assert found.worst == pytest.approx(2.5)


def test_a_network_that_is_split_is_measured_as_a_whole(images):
    model = _build()
    whole = statistics_check.measure_fit(model, images)
    # The part above the boundary calls its layers once more.
    (norm,) = (each for each in model.layers if each.name == "second")
    above = keras.Input(norm.input.shape[1:])
    keras.Model(above, norm(above))
    assert statistics_check.measure_fit(model, images) == whole


def test_a_network_without_norms_has_no_statistics(images):
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))
    assert statistics_check.measure_fit(model, images) is None


def test_the_pictures_are_spread_over_the_split(images, monkeypatch):
    asked = []

    def load(pictures, config, image_size):
        asked.extend(pictures)
        return [images]

    monkeypatch.setattr(statistics_check.split_evaluation, "load_images", load)
    backbone = types.SimpleNamespace(model=_build(), image_size=4)
    statistics_check.report_fit(
        backbone, list(range(70)), train_config.TrainConfig()
    )
    # Every second of 70, 32 of them.
    assert asked == list(range(0, 64, 2))


@pytest.mark.parametrize(
    ("factor", "level"), [(1.0, logging.INFO), (100.0, logging.WARNING)]
)
def test_pictures_that_do_not_fit_are_warned_of(
    factor, level, images, monkeypatch, caplog
):
    monkeypatch.setattr(
        statistics_check.split_evaluation,
        "load_images",
        lambda pictures, config, image_size: [factor * images],
    )
    backbone = types.SimpleNamespace(model=_build(), image_size=4)
    config = options.replace(train_config.TrainConfig(), weights="m.pth")
    with caplog.at_level(logging.INFO):
        statistics_check.report_fit(backbone, ["picture"], config)
    (record,) = caplog.records
    assert record.levelno == level
    assert "m.pth" in record.getMessage()
    assert ("--preprocessing" in record.getMessage()) == (factor > 1)
