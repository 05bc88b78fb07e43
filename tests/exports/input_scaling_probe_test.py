"""Tests of tf_finetune/exports/input_scaling_probe.py."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones import build
from tf_finetune.exports import input_scaling_probe


def _measure(scale):
    images = keras.Input([8, 8, 3])
    first = keras.layers.Conv2D(2, 3, name="first")
    x = keras.layers.ZeroPadding2D(1)(scale(images))
    return input_scaling_probe.measure_scaling(
        keras.Model(images, first(x)), first
    )


@pytest.mark.parametrize(
    ("kind", "mean", "std", "is_bgr"),
    [
        ("torch", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False),
        ("tf", [0.5] * 3, [0.5] * 3, False),
        # The published means of blue, green and red, in 0..255.
        (
            "caffe",
            np.array([123.68, 116.779, 103.939]) / 255,
            [1 / 255] * 3,
            True,
        ),
        ("in_graph", [0] * 3, [1 / 255] * 3, False),
    ],
)
def test_mean_and_deviation_are_measured(kind, mean, std, is_bgr):
    found = _measure(lambda images: build.add_preprocessing(images, kind))
    np.testing.assert_allclose(found.mean, mean, atol=2e-7)
    np.testing.assert_allclose(found.std, std, atol=2e-7)
    assert found.is_bgr == is_bgr


def test_mixed_colors_are_refused():
    gray = keras.layers.Conv2D(3, 1, use_bias=False)
    with pytest.raises(errors.UsageError, match="more than a scale"):
        _measure(gray)
