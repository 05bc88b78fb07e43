"""Tests of tf_finetune/tasks/regression/rows/stacking.py."""

import numpy as np
import pytest

from tf_finetune.tasks.regression.rows import stacking

_GENERATOR = np.random.default_rng(0)
_TRUTH = _GENERATOR.normal(size=[400, 1])


def _noisy(deviation: float) -> np.ndarray:
    return _TRUTH + _GENERATOR.normal(0, deviation, _TRUTH.shape)


def test_weights_are_those_of_least_squares_where_all_are_positive():
    parts = {"a": _noisy(0.5), "b": _noisy(1.0)}
    stack = stacking.fit_stack(parts, _TRUTH)
    design = np.concatenate([parts["a"], parts["b"], np.ones([400, 1])], axis=1)
    expected = np.linalg.lstsq(design, _TRUTH, rcond=None)[0]
    np.testing.assert_allclose(stack.weights, expected[:2], rtol=1e-6)
    np.testing.assert_allclose(stack.bias, expected[2], rtol=1e-6)
    assert stack.weights[0] > stack.weights[1]
    np.testing.assert_allclose(stack(parts), design @ expected)


def test_a_part_that_speaks_against_the_truth_gets_no_weight():
    stack = stacking.fit_stack({"a": _noisy(0.5), "b": -_noisy(0.5)}, _TRUTH)
    assert stack.weights[1] == 0


def test_one_part_alone_and_a_wider_stack():
    parts = {"a": _noisy(0.5), "b": _noisy(1.0)}
    only = stacking.build_single_part("b", ("a", "b"), 1)
    np.testing.assert_array_equal(only(parts), parts["b"])
    alone = stacking.fit_stack({"a": parts["a"]}, _TRUTH)
    wide = stacking.add_parts(alone, ("a", "b"))
    np.testing.assert_allclose(wide(parts), alone({"a": parts["a"]}))
    assert wide.weights[1] == pytest.approx(0)
