"""Verdicts on numbers in few bits; needs no TensorFlow."""

import numpy as np
import pytest
from sklearn import metrics as reference

from tf_finetune.tasks import quantization_checks
from tf_finetune.tasks.regression import exports

_UNIT = np.array([1e6, 4.0])
_NAMES = ("price", "rooms")


def _judge(expected, got, truth=None, names=_NAMES, unit=_UNIT):
    return exports.EXPORTS.check_quantized(
        quantization_checks.Comparison(expected, got, truth, names, unit)
    )


@pytest.fixture
def expected():
    """Thirty houses, rising evenly in both."""
    return np.linspace([0, 1], [1e6, 5], 30)


def test_differences_are_shares_of_each_targets_range(expected):
    found = _judge(expected, expected + [[3e4, 0.2]])

    per_target = found.figures["per_target"]
    assert per_target["price"]["mean_abs_difference"] == pytest.approx(0.03)
    assert per_target["rooms"]["mean_abs_difference"] == pytest.approx(0.05)
    assert not found.failures


def test_the_target_that_suffers_is_named(expected):
    got = expected.copy()
    got[:, 1] = 3.0  # All the same: the mean is off by 1 of 4.

    first, second = _judge(expected, got).failures

    assert first.startswith("rooms differs by 25")
    assert "0.0% of the pairs" in second and "rooms" in second


def test_pictures_that_differ_clearly_keep_their_order():
    # 0 and 0.1 may change places; three pairs are further apart than a fifth.
    expected = np.array([[0.0], [0.1], [0.6], [1.0]])
    got = np.array([[0.1], [0.0], [1.0], [0.61]])

    found = _judge(expected, got, names=("x",), unit=1.0)

    order = found.figures["per_target"]["x"]["order_agreement"]
    assert order == pytest.approx(4 / 5)


def test_a_loss_of_r2_is_refused(expected):
    generator = np.random.default_rng(0)
    truth = expected + generator.normal(0, [[2e5, 1]], expected.shape)
    got = truth + 1.5 * (expected - truth)  # Its errors, and half of them more.

    found = _judge(expected, got, truth)

    for index, name in enumerate(_NAMES):
        figures = found.figures["per_target"][name]
        for key, said in (("r2", got), ("evaluation_r2", expected)):
            assert figures[key] == pytest.approx(
                reference.r2_score(truth[:, index], said[:, index])
            )
    assert any(each.startswith("R² of price") for each in found.failures)


def test_r2_of_few_pictures_is_not_asked_for(expected):
    few = expected[:19]

    found = _judge(few, few, few + 1)

    assert "r2" not in found.figures["per_target"]["price"]
