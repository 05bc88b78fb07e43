"""Tests of tf_finetune/metrics/regression_metrics.py."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tf_finetune import errors
from tf_finetune.metrics import regression_metrics

_GENERATOR = np.random.default_rng(0)
_TRUE = np.exp(_GENERATOR.normal(2, 0.6, [80, 1]))
_SAID = _TRUE * np.exp(_GENERATOR.normal(0, 0.2, [80, 1]))


def test_figures_are_those_of_scikit_learn():
    got = regression_metrics.compute_metrics(_TRUE, _SAID, names=["y"], seed=0)
    expected = {
        "r2": sklearn_metrics.r2_score(_TRUE, _SAID),
        "log_r2": sklearn_metrics.r2_score(np.log(_TRUE), np.log(_SAID)),
        "mae": sklearn_metrics.mean_absolute_error(_TRUE, _SAID),
        "rmse": sklearn_metrics.mean_squared_error(_TRUE, _SAID) ** 0.5,
        "mape": sklearn_metrics.mean_absolute_percentage_error(_TRUE, _SAID),
        "median_absolute_error": sklearn_metrics.median_absolute_error(
            _TRUE, _SAID
        ),
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value), name
        low, high = got[f"{name}_interval"]
        assert low < value < high
    assert got["per_target"]["y"]["r2"] == got["r2"]


def test_the_interval_of_a_mean_is_as_wide_as_theory_has_it():
    got = regression_metrics.compute_metrics(_TRUE, _SAID, names=["y"], seed=0)
    deviation = np.abs(_TRUE - _SAID).std() / np.sqrt(len(_TRUE))
    low, high = got["mae_interval"]
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.1)


def test_what_is_not_defined_is_none():
    true = np.array([[0.0], [1.0], [2.0]])
    got = regression_metrics.compute_metrics(true, true, names=["y"], seed=0)
    assert got["mape"] is None and got["log_r2"] is None
    assert got["r2"] == 1.0 and got["mae"] == 0.0
    one = regression_metrics.compute_metrics(
        true[:1], true[:1], names=["y"], seed=0
    )
    assert one["r2"] is None and one["mae_interval"] is None


def test_several_targets_are_averaged_only_where_units_do_not_matter():
    true = np.concatenate([_TRUE, 5 * _TRUE], axis=1)
    said = np.concatenate([_SAID, 5 * _TRUE], axis=1)
    got = regression_metrics.compute_metrics(
        true, said, names=["a", "b"], seed=0
    )
    single = regression_metrics.compute_metrics(
        _TRUE, _SAID, names=["a"], seed=0
    )
    assert got["r2"] == pytest.approx((single["r2"] + 1) / 2)
    assert got["mae"] is None
    assert got["per_target"]["a"]["mae"] == single["mae"]


def test_answering_the_mean_explains_nothing():
    got = regression_metrics.compute_constant_baseline(
        _TRUE, [_TRUE.mean()], names=["y"], seed=0
    )
    assert got["r2"] == pytest.approx(0, abs=1e-12)
    assert got["answers"] == {"y": pytest.approx(_TRUE.mean())}


def test_numbers_that_are_none_and_empty_splits_are_told():
    with pytest.raises(errors.RunError, match="1 of 2 pictures"):
        regression_metrics.compute_metrics(
            np.ones([2, 1]), np.array([[1.0], [np.nan]]), names=["y"], seed=0
        )
    with pytest.raises(errors.DataError):
        regression_metrics.compute_metrics(
            np.ones([0, 1]), np.ones([0, 1]), names="y", seed=0
        )
