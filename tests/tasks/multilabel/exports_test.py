"""Verdicts on labels in few bits; needs no TensorFlow."""

import numpy as np
import pytest
from sklearn import metrics as reference

from tf_finetune.tasks import quantization_checks
from tf_finetune.tasks.multilabel import exports

_NAMES = ("a", "b")
_EXPORTS = exports.Exports().with_decision({"thresholds": {"a": 0.1, "b": 0.6}})


def _judge(expected, got, truth=None):
    return _EXPORTS.check_quantized(
        quantization_checks.Comparison(
            np.array(expected), np.array(got), truth, _NAMES
        )
    )


def test_given_and_withheld_labels_are_counted_beside_their_thresholds():
    # Odds 1.5 times those of 0.1 and of 0.6 are 0.143 and 0.692.
    expected = [[0.2, 0.1]] * 39 + [[0.12, 0.65]]
    got = [[0.09, 0.61]] + [[0.2, 0.1]] * 38 + [[0.09, 0.5]]

    found = _judge(expected, got)

    assert found.figures["given_agreement"] == pytest.approx(38 / 39)
    assert found.figures["withheld_agreement"] == pytest.approx(38 / 39)
    assert not found.failures


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [(0, 0.05, "labels clearly given"), (1, 0.7, "labels clearly not given")],
)
def test_clear_labels_must_stay(column, value, said):
    expected = np.array([[0.2, 0.1]] * 40)
    got = expected.copy()
    got[:3, column] = value

    (fault,) = _judge(expected, got).failures

    assert fault.startswith("92.5%") and said in fault


def test_of_few_clear_labels_one_may_change():
    expected = [[0.2, 0.55]] * 4
    got = [[0.09, 0.55]] + [[0.2, 0.55]] * 3

    found = _judge(expected, got)

    assert found.figures["given_agreement"] == 0.75
    assert not found.failures


def test_scores_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, [30, 2])
    expected, got = generator.uniform(0, 1, [2, 30, 2])

    figures = _judge(expected, got, truth).figures

    for said, name in ((got, ""), (expected, "evaluation_")):
        assert figures[f"{name}macro_average_precision"] == pytest.approx(
            reference.average_precision_score(truth, said)
        )
        given = said >= [0.1, 0.6]
        assert figures[f"{name}micro_f1"] == pytest.approx(
            reference.f1_score(truth, given, average="micro")
        )


def test_a_loss_of_precision_is_refused():
    truth = np.array([[1, 0]] * 10 + [[0, 0]] * 10)
    expected = np.array([[0.112, 0.1]] * 10 + [[0.108, 0.1]] * 10)
    got = expected[::-1]

    faults = _judge(expected, got, truth).failures

    assert "macro average precision" in faults[0]
    assert "instead of 100.0%" in faults[0]


def test_a_shift_of_all_probabilities_is_refused():
    expected = np.array([[0.05, 0.3]] * 20)

    (fault,) = _judge(expected, expected + [[0.02, 0.1]]).failures

    assert "differ by 0.06 in the mean" in fault
