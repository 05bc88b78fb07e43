"""Tests of tf_finetune/tasks/segmentation/class_weights.py."""

import numpy as np
import pytest

from tf_finetune.tasks.segmentation import class_weights

_PIXELS = [600, 300, 100]
# Pictures of 500 pixels: two in all, the last class is in one of them.
_AROUND = [1000, 1000, 500]


def _of(kind, pixels=_PIXELS):
    return class_weights.compute_class_weights(
        kind, pixels=pixels, pixels_of_pictures=_AROUND
    )


def test_none_is_no_weights():
    assert _of("none") is None


def test_balanced_is_the_median_frequency_over_the_own_one():
    frequencies = np.array([0.6, 0.3, 0.2])
    expected = 0.3 / frequencies
    expected /= (expected * _PIXELS).sum() / 1000
    np.testing.assert_allclose(_of("balanced"), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["balanced", "effective_number"])
def test_a_pixel_weighs_1_on_average_and_a_rare_class_more(kind):
    weights = _of(kind)
    assert weights.dtype == "float32"
    assert (weights * _PIXELS).sum() == pytest.approx(1000, rel=1e-6)
    assert weights[0] < weights[1] < weights[2]


@pytest.mark.parametrize("kind", ["balanced", "effective_number"])
def test_a_class_that_never_occurs_has_the_weight_1(kind):
    weights = _of(kind, pixels=[600, 300, 0])
    assert weights[2] == 1
    assert np.isfinite(weights).all()
    assert (_of(kind, pixels=[0, 0, 0]) == 1).all()
