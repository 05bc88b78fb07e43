"""Weights of labels that are there or not."""

import numpy as np
import pytest

from tf_finetune.data import label_weights


def test_balanced_weights_give_both_answers_half_of_the_weight():
    weights = label_weights.compute_label_weights(
        np.array([10, 50]), 100, "balanced"
    )
    np.testing.assert_allclose(weights, [[100 / 180, 1.0], [5.0, 1.0]])


def test_equal_weights_are_none():
    assert label_weights.compute_label_weights(np.array([1]), 2, "none") is None


def test_effective_numbers_weigh_less():
    (absent,), (present,) = label_weights.compute_label_weights(
        np.array([10]), 100, "effective_number"
    )
    # Worth of 90 and of 10 where the fair share is 50.
    ratio = (1 - np.exp(-90 / 50)) / (1 - np.exp(-10 / 50))
    assert present / absent == pytest.approx(ratio, rel=1e-5)
    assert 90 * absent + 10 * present == pytest.approx(100, rel=1e-5)
    assert present < 5.0


@pytest.mark.parametrize("kind", ["balanced", "effective_number"])
def test_what_all_or_none_carry_is_not_weighed(kind):
    weights = label_weights.compute_label_weights(np.array([0, 20]), 20, kind)
    np.testing.assert_array_equal(weights, np.ones([2, 2]))
