"""Tests of tf_finetune/solvers/ridge_regression.py."""

import numpy as np
import pytest
from sklearn import linear_model

from tf_finetune.solvers import ridge_regression


def _problem(count: int, width: int, seed: int = 0):
    generator = np.random.default_rng(seed)
    features = generator.normal(3, 2, [count, width]) * np.linspace(
        0.1, 5, width
    )
    truth = generator.normal(size=[width, 2])
    noise = generator.normal(0, [0.5, 8], [count, 2])
    return features.astype("float32"), features @ truth + noise


def _predict(solved, features):
    return features @ solved.kernel + solved.bias


@pytest.mark.parametrize(("count", "width"), [(60, 8), (30, 50)])
def test_the_solution_is_that_of_scikit_learn(count, width):
    features, targets = _problem(count, width)
    solved = ridge_regression.solve(features, targets, seed=0)
    scale = features.std(axis=0, dtype="float64")
    for target, strength in enumerate(solved.strengths):
        model = linear_model.Ridge(alpha=strength * count, solver="svd")
        model.fit(features / scale, targets[:, target])
        np.testing.assert_allclose(
            _predict(solved, features)[:, target],
            model.predict(features / scale),
            rtol=1e-5,
            atol=1e-5,
        )


def test_left_out_predictions_come_from_solutions_that_did_not_see_them():
    features, targets = _problem(40, 6)
    groups = [f"g{i // 4}" for i in range(40)]
    solved = ridge_regression.solve(features, targets, groups=groups, seed=3)
    scale = features.std(axis=0, dtype="float64")
    for solve_on, judge_on in ridge_regression.split_folds(groups, 3):
        assert not {groups[i] for i in solve_on} & {groups[i] for i in judge_on}
        model = linear_model.Ridge(
            alpha=solved.strengths[0] * len(solve_on), solver="svd"
        )
        model.fit(features[solve_on] / scale, targets[solve_on, 0])
        np.testing.assert_allclose(
            solved.out_of_fold[judge_on, 0],
            model.predict(features[judge_on] / scale),
            rtol=1e-5,
            atol=1e-5,
        )


def test_each_target_chooses_its_own_strength():
    features, targets = _problem(60, 40)
    solved = ridge_regression.solve(features, targets, seed=0)
    assert solved.strengths[1] > solved.strengths[0]
    errors = solved.cross_validation.losses
    best = [
        ridge_regression.STRENGTHS[index] for index in errors.argmin(axis=0)
    ]
    assert list(solved.strengths) == best


def test_every_row_is_judged_once():
    parts = ridge_regression.split_folds([f"{i % 7}" for i in range(30)], 0)
    judged = np.concatenate([judge_on for _, judge_on in parts])
    assert sorted(judged) == list(range(30))


def test_a_single_group_is_solved_without_judging():
    features, targets = _problem(10, 3)
    solved = ridge_regression.solve(
        features, targets, groups=["a"] * 10, seed=0
    )
    assert solved.out_of_fold is None and "not cross-validated" in solved.note
    assert np.isfinite(solved.kernel).all()


def test_features_that_say_nothing_and_copies_do_no_harm():
    features, targets = _problem(30, 5)
    plain = ridge_regression.solve(features, targets, seed=0)
    wide = np.concatenate(
        [features, features, np.full([30, 2], 7.0)], axis=1
    ).astype("float32")
    solved = ridge_regression.solve(wide, targets, seed=0)
    assert np.isfinite(solved.kernel).all()
    np.testing.assert_allclose(
        _predict(solved, wide)[:, 0],
        _predict(plain, features)[:, 0],
        rtol=0.05,
        atol=0.5,
    )
