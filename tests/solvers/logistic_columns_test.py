"""Logistic regressions solved together."""

import numpy as np
from scipy import optimize

from tf_finetune.solvers import logistic_columns


def _drawn():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=[60, 4]) @ np.diag([5.0, 1.0, 0.3, 0.1])
    targets = rows + generator.normal(size=[60, 4]) > [0.0, 1.0, 0.2, -0.1]
    return rows, targets, generator.uniform(0.2, 2, targets.shape)


def _alone(rows, targets, weights, strength):
    signs = np.where(targets, 1.0, -1.0)

    def loss(found):
        margins = signs * (rows @ found[:-1] + found[-1])
        return weights @ np.logaddexp(0, -margins) + np.sum(found[:-1] ** 2) / (
            2 * strength
        )

    return optimize.minimize(loss, np.zeros(5), tol=1e-10).x


def test_each_column_is_solved_as_if_it_were_alone():
    rows, targets, weights = _drawn()
    strengths = np.array([0.01, 1.0, 100.0, 0.1])
    problem = logistic_columns.LogisticColumns(rows, targets, weights)
    found = problem.find_optimum(strengths)
    for i, strength in enumerate(strengths):
        expected = _alone(rows, targets[:, i], weights[:, i], strength)
        np.testing.assert_allclose(
            found.coefficients[:, i], expected[:-1], atol=1e-3
        )
        np.testing.assert_allclose(found.bias[i], expected[-1], atol=1e-3)


def test_where_it_starts_plays_no_part():
    rows, targets, weights = _drawn()
    problem = logistic_columns.LogisticColumns(rows, targets, weights)
    start = problem.find_optimum(np.full(4, 1e-4))
    one, two = (
        problem.find_optimum(np.full(4, 1.0), each) for each in (None, start)
    )
    np.testing.assert_allclose(one.coefficients, two.coefficients, atol=1e-4)


def test_examples_without_weight_do_not_count():
    rows, targets, weights = _drawn()
    few = logistic_columns.LogisticColumns(
        rows[:40], targets[:40], weights[:40]
    )
    weights[40:] = 0.0
    all_ = logistic_columns.LogisticColumns(rows, targets, weights)
    one, two = (each.find_optimum(np.full(4, 1.0)) for each in (few, all_))
    np.testing.assert_allclose(one.coefficients, two.coefficients, atol=1e-3)


def test_losses_are_those_of_each_example():
    rows, targets, weights = _drawn()
    problem = logistic_columns.LogisticColumns(rows, targets, weights)
    found = problem.find_optimum(np.full(4, 1.0))
    p = 1 / (1 + np.exp(-(rows @ found.coefficients + found.bias)))
    np.testing.assert_allclose(
        problem.losses(found), -np.log(np.where(targets, p, 1 - p))
    )


def test_a_column_of_one_kind_is_told():
    rows, targets, weights = _drawn()
    targets[:, 1], targets[:, 2] = True, False
    problem = logistic_columns.LogisticColumns(rows, targets, weights)
    assert problem.is_mixed.tolist() == [True, False, False, True]
