"""Tests of tf_finetune/tasks/regression/target_transforms.py."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.tasks.regression import target_transforms

_SKEWED = np.exp(np.random.default_rng(0).normal(3, 1, [500, 1]))
_EVEN = np.random.default_rng(1).normal(50, 5, [500, 1])


def test_auto_takes_the_logarithm_of_what_is_skewed_and_of_nothing_else():
    both = np.concatenate([_SKEWED, _EVEN], axis=1)
    found = target_transforms.fit_transform("auto", both, ["price", "angle"])
    assert found.logged == (True, False)
    values = found.forward(both)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(found.restore_units(values), both, rtol=1e-5)


def test_auto_leaves_alone_what_has_no_logarithm():
    found = target_transforms.fit_transform("auto", _SKEWED - 1000, ["y"])
    assert found.logged == (False,)


def test_a_logarithm_that_cannot_be_is_an_error():
    with pytest.raises(errors.DataError, match="'y' is as low as -3"):
        target_transforms.fit_transform("log", np.array([[1.0], [-3.0]]), ["y"])


def test_predictions_stay_within_their_bounds():
    found = target_transforms.fit_transform(
        "none", _EVEN, ["y"], bounds=(40, 60)
    )
    answers = found.restore_units(np.array([[-99.0], [0.0], [99.0]]))
    assert answers[0] == 40 and answers[2] == 60
    assert answers[1] == pytest.approx(_EVEN.mean())
