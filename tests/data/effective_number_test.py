"""Tests of tf_finetune/data/effective_number.py."""

import numpy as np
import pytest

from tf_finetune.data import effective_number

_COUNTS = [600, 300, 100]


def test_it_is_the_series_of_its_paper():
    # Each example is cut in 10,000, so that beta's power is that of the limit.
    beta = 1 - 1e-4 * 3 / 1000
    numbers = (1 - beta ** (np.array(_COUNTS) * 1e4)) / (1 - beta)
    expected = 1 / numbers
    expected /= (expected * _COUNTS).sum() / 1000
    np.testing.assert_allclose(
        effective_number.compute_weights(_COUNTS), expected, rtol=1e-3
    )


def test_it_lies_between_equal_weights_and_inverse_frequencies():
    found = effective_number.compute_weights(_COUNTS)
    assert (found * _COUNTS).sum() == pytest.approx(1000)
    assert 1 < found[1] / found[0] < 2
    assert 1 < found[2] / found[0] < 6


def test_a_class_without_an_example_weighs_1():
    assert effective_number.compute_weights([3, 1, 0])[2] == 1
    assert (effective_number.compute_weights([0, 0]) == 1).all()
