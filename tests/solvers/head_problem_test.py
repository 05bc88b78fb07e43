"""Features of one size, and the way back."""

import numpy as np
import pytest

from tf_finetune.solvers import head_problem


@pytest.mark.parametrize("shape", [(30, 8), (6, 20)])
def test_what_is_solved_on_the_rows_does_the_same_to_raw_features(shape):
    generator = np.random.default_rng(0)
    features = generator.normal(3, 5, shape) * generator.uniform(1, 9, shape[1])
    standard = head_problem.standardize(features)
    assert standard.rows.shape == (shape[0], min(shape))
    coefficients = generator.normal(size=[min(shape), 4])
    bias = generator.normal(size=4)
    kernel, raw_bias = standard.convert_to_raw(coefficients, bias)
    assert kernel.dtype == raw_bias.dtype == "float64"
    np.testing.assert_allclose(
        features @ kernel + raw_bias,
        standard.rows @ coefficients + bias,
        atol=1e-9,
    )


def test_rows_keep_the_distances_of_standardized_features():
    features = np.random.default_rng(0).normal(7, 3, [5, 12])
    rows = head_problem.standardize(features).rows
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    np.testing.assert_allclose(rows @ rows.T, scaled @ scaled.T, atol=1e-9)


def test_a_feature_that_never_changes_becomes_zero():
    features = np.random.default_rng(0).normal(size=[9, 3])
    features[:, 1] = 7.0
    standard = head_problem.standardize(features)
    assert standard.scale[1] == 1.0
    np.testing.assert_allclose(standard.rows[:, 1], 0.0, atol=1e-12)
    constant = head_problem.standardize(np.full([4, 2], 7.0))
    np.testing.assert_array_equal(constant.scale, [1.0, 1.0])


def test_a_rare_feature_is_not_blown_up():
    generator = np.random.default_rng(0)
    features = generator.normal(size=[200, 4])
    features[:, 3] = 0.0
    features[0, 3] = 0.01
    deviations = features.std(axis=0)
    scale = head_problem.standardize(features).scale
    np.testing.assert_allclose(scale[:3], deviations[:3])
    # A tenth of the root mean square of three deviations near 1 and one near 0.
    expected = 0.1 * np.sqrt((deviations**2).sum() / 4)
    assert scale[3] == pytest.approx(expected)
    # A new picture that has it by 1 is 12 deviations away, not 1,400.
    assert 1 / scale[3] < 13 < 1400 < 1 / deviations[3]


def test_features_of_a_small_unit_keep_their_deviation():
    features = np.random.default_rng(0).normal(size=[50, 3])
    features *= [1e-3, 1, 1e3]
    scale = head_problem.standardize(features).scale
    np.testing.assert_allclose(scale, features.std(axis=0))
