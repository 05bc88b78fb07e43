"""Tests of the solvers and stacks of a fusion."""

import numpy as np
import pytest
from scipy import special
from sklearn import metrics

from tf_finetune.inputs import head_solvers

_GENERATOR = np.random.default_rng(0)
_TRUTH = _GENERATOR.normal(size=[400, 1])
_CLASSES = _GENERATOR.integers(0, 3, 400)
_ONE_HOT = np.eye(3)[_CLASSES]


def _noisy(deviation: float) -> np.ndarray:
    return _TRUTH + _GENERATOR.normal(0, deviation, _TRUTH.shape)


def _hint(strength: float) -> np.ndarray:
    return strength * _ONE_HOT + _GENERATOR.normal(size=[400, 3])


def test_weights_are_those_of_least_squares_where_all_are_positive():
    parts = {"a": _noisy(0.5), "b": _noisy(1.0)}
    stack = head_solvers.fit_least_squares(parts, _TRUTH)
    design = np.concatenate([parts["a"], parts["b"], np.ones([400, 1])], axis=1)
    expected = np.linalg.lstsq(design, _TRUTH, rcond=None)[0]
    np.testing.assert_allclose(stack.weights, expected[:2], rtol=1e-6)
    np.testing.assert_allclose(stack.bias, expected[2], rtol=1e-6)
    assert stack.weights[0] > stack.weights[1]
    np.testing.assert_allclose(stack(parts), design @ expected)


def test_a_part_that_speaks_against_the_truth_gets_no_weight():
    parts = {"a": _noisy(0.5), "b": -_noisy(0.5)}
    assert head_solvers.fit_least_squares(parts, _TRUTH).weights[1] == 0
    solver = head_solvers.find_solver("logistic")
    stack = solver.fit_stack({"a": _hint(2.0), "b": -_hint(2.0)}, _ONE_HOT)
    assert stack.weights[1].tolist() == [0, 0, 0]


def test_one_part_alone_and_a_wider_stack():
    parts = {"a": _noisy(0.5), "b": _noisy(1.0)}
    only = head_solvers.take_alone("b", 1).extend(("a", "b"))
    np.testing.assert_array_equal(only(parts), parts["b"])
    alone = head_solvers.fit_least_squares({"a": parts["a"]}, _TRUTH)
    wide = alone.extend(("a", "b"))
    np.testing.assert_allclose(wide(parts), alone({"a": parts["a"]}))
    assert wide.weights[1] == pytest.approx(0)


def test_a_stack_of_classes_has_a_lower_log_loss_than_its_parts():
    parts = {"a": _hint(1.0), "b": _hint(1.0), "c": _hint(0.0)}
    stack = head_solvers.find_solver("logistic").fit_stack(parts, _ONE_HOT)
    # One weight for all classes, so that the softmax stays one.
    assert (stack.weights == stack.weights[:, :1]).all()
    assert stack.weights[:2].min() > 0.5 > stack.weights[2, 0] >= 0

    def loss(logits):
        return metrics.log_loss(_CLASSES, special.softmax(logits, axis=1))

    least = min(map(loss, parts.values()))
    assert loss(stack(parts)) < least - 0.05
    assert loss(stack(parts)) <= loss(sum(parts.values()) / 3)


def test_a_stack_of_labels_weighs_each_label_by_itself():
    truth = _GENERATOR.integers(0, 2, [400, 2]).astype("float64")
    noise = _GENERATOR.normal(size=[2, 400, 2])
    first = 2 * truth * [1, 0] + noise[0]
    second = 2 * truth * [0, 1] + noise[1]
    solver = head_solvers.find_solver("logistic_per_label")
    stack = solver.fit_stack({"a": first, "b": second}, truth)
    assert stack.weights[0, 0] > 3 * stack.weights[1, 0]
    assert stack.weights[1, 1] > 3 * stack.weights[0, 1]


def test_separable_examples_and_an_absent_label_have_finite_weights():
    solver = head_solvers.find_solver("logistic_per_label")
    truth = np.stack([np.arange(40) % 2, np.zeros(40)], axis=1)
    stack = solver.fit_stack({"a": 40 * truth - 20, "b": 0 * truth}, truth)
    assert np.isfinite(stack.weights).all() and np.isfinite(stack.bias).all()
    assert stack.bias[1] < 0
