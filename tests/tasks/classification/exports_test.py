"""Verdicts on classifiers in few bits; needs no TensorFlow."""

import numpy as np
import pytest

from tf_finetune.tasks import quantization_checks
from tf_finetune.tasks.classification import exports

_NAMES = ("a", "b")


def _expected(sure=16, unsure=4):
    """Pictures of class 0; the last ones the evaluation doubts."""
    return np.array([[0.9, 0.1]] * sure + [[0.55, 0.45]] * unsure)


def _judge(expected, got, truth=None):
    return exports.EXPORTS.check_quantized(
        quantization_checks.Comparison(expected, got, truth, _NAMES)
    )


def _all_first(expected):
    return np.zeros(len(expected), int)


def test_small_differences_pass_and_are_counted():
    expected = _expected()

    found = _judge(expected, expected + [[-0.04, 0.04]], _all_first(expected))

    assert not found.failures
    assert found.figures["decided_agreement"] == 1.0
    assert found.figures["accuracy"] == 1.0
    assert found.figures["evaluation_accuracy"] == 1.0


def test_an_unsure_picture_may_fall_on_the_other_side():
    expected = _expected()
    got = expected.copy()
    got[-1] = [0.49, 0.51]

    found = _judge(expected, got, _all_first(expected))

    assert not found.failures
    assert found.figures["top_1_agreement"] == pytest.approx(0.95)
    assert found.figures["decided_agreement"] == 1.0
    assert found.figures["accuracy"] == pytest.approx(0.95)


def test_sure_pictures_must_stay():
    expected = _expected(sure=40, unsure=0)
    got = expected.copy()
    got[:5] = [0.4, 0.6]  # 87.5 % stay; their true classes are unknown.

    (fault,) = _judge(expected, got).failures

    assert "87.5% of the clearly decided pictures keep" in fault


def test_a_loss_of_accuracy_is_refused():
    expected = _expected()
    got = expected.copy()
    got[-2:] = [0.49, 0.51]

    (fault,) = _judge(expected, got, _all_first(expected)).failures

    assert fault == "accuracy 90.0% instead of 100.0% (allowed 0.05)"


def test_of_few_pictures_one_may_be_lost():
    expected = _expected(sure=0, unsure=4)
    got = expected.copy()
    got[0] = [0.49, 0.51]

    assert not _judge(expected, got, _all_first(expected)).failures


def test_a_shift_of_all_probabilities_is_refused():
    expected = _expected(unsure=0)

    (fault,) = _judge(expected, expected - [[0.2, -0.2]]).failures

    assert "differ by 0.2 in the mean" in fault


def test_without_a_decided_picture_there_is_no_agreement_to_ask_for():
    expected = _expected(sure=0, unsure=4)

    found = _judge(expected, expected)

    assert found.figures["decided_agreement"] is None
    assert not found.failures
    assert "accuracy" not in found.figures
