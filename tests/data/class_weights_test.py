"""Weights of classes, and of labels that are there or not."""

import numpy as np
import pytest

from tf_finetune.data import class_weights

_COUNTS = [600, 300, 100]


def test_it_is_the_series_of_its_paper():
    # Each example is cut in 10,000, so that beta's power is that of the limit.
    beta = 1 - 1e-4 * 3 / 1000
    numbers = (1 - beta ** (np.array(_COUNTS) * 1e4)) / (1 - beta)
    expected = 1 / numbers
    expected /= (expected * _COUNTS).sum() / 1000
    np.testing.assert_allclose(
        class_weights.weigh_by_effective_number(_COUNTS), expected, rtol=1e-3
    )


def test_it_lies_between_equal_weights_and_inverse_frequencies():
    found = class_weights.weigh_by_effective_number(_COUNTS)
    assert (found * _COUNTS).sum() == pytest.approx(1000)
    assert 1 < found[1] / found[0] < 2
    assert 1 < found[2] / found[0] < 6


def test_a_class_without_an_example_weighs_1():
    assert class_weights.weigh_by_effective_number([3, 1, 0])[2] == 1
    assert (class_weights.weigh_by_effective_number([0, 0]) == 1).all()


def test_a_class_kept_without_pictures_leaves_the_balance_of_the_others():
    found = class_weights.weigh_classes(np.array([3, 0, 1]), "balanced")
    np.testing.assert_allclose(found, [4 / 6, 1, 2])


def test_balanced_weights_give_both_answers_half_of_the_weight():
    weights = class_weights.weigh_labels(np.array([10, 50]), 100, "balanced")
    np.testing.assert_allclose(weights, [[100 / 180, 1.0], [5.0, 1.0]])


def test_equal_weights_are_none():
    assert class_weights.weigh_labels(np.array([1]), 2, "none") is None


def test_effective_numbers_weigh_less():
    (absent,), (present,) = class_weights.weigh_labels(
        np.array([10]), 100, "effective_number"
    )
    # Worth of 90 and of 10 where the fair share is 50.
    ratio = (1 - np.exp(-90 / 50)) / (1 - np.exp(-10 / 50))
    assert present / absent == pytest.approx(ratio, rel=1e-5)
    assert 90 * absent + 10 * present == pytest.approx(100, rel=1e-5)
    assert present < 5.0


@pytest.mark.parametrize("kind", ["balanced", "effective_number"])
def test_what_all_or_none_carry_is_not_weighed(kind):
    weights = class_weights.weigh_labels(np.array([0, 20]), 20, kind)
    np.testing.assert_array_equal(weights, np.ones([2, 2]))


def test_balanced_weights_are_inverse_to_frequency_with_mean_one():
    targets = np.eye(2, dtype="float32")[[0, 0, 0, 1]]
    counts = targets.sum(axis=0)
    weights = class_weights.weigh_classes(counts, "balanced")
    np.testing.assert_allclose(weights, [4 / 6, 4 / 2])
    assert np.mean(targets @ weights) == pytest.approx(1.0)
    assert class_weights.weigh_classes(counts, "none") is None
