"""Figures that a run must reach."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.evaluation import gates
from tf_finetune.metrics import classification_metrics
from tf_finetune.tasks.classification import figures

_MEASURES = figures.FIGURES

FIGURES = {
    "accuracy": 0.9,
    "accuracy_interval": [0.85, 0.94],
    "log_loss": 0.3,
    "expected_calibration_error": 0.05,
    "top_5_accuracy": None,
}


@pytest.mark.parametrize(
    ("spec", "missed"),
    [
        ("accuracy:0.89", False),
        ("accuracy:0.9", False),
        ("accuracy:0.91", True),
        ("log_loss:0.31", False),
        ("log_loss:0.3", False),
        ("log_loss:0.29", True),
        ("expected_calibration_error:0.01", True),
        ("expected_calibration_error:0.1", False),
    ],
)
def test_each_metric_is_compared_the_right_way_round(spec, missed):
    assert bool(gates.find_failures(FIGURES, (spec,), _MEASURES)) == missed


def test_a_failure_says_what_was_got_and_asked():
    (sentence,) = gates.find_failures(
        FIGURES, ("accuracy:0.95", "log_loss:1"), _MEASURES
    )

    assert "accuracy is 0.9000, below the required 0.95" in sentence


def test_a_figure_that_is_not_defined_fails():
    (sentence,) = gates.find_failures(
        FIGURES, ("top_5_accuracy:0.5",), _MEASURES
    )

    assert "not defined" in sentence


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("acuracy:0.9", "Did you mean 'accuracy'"),
        ("accuracy", "METRIC:VALUE"),
        ("accuracy:high", "between 0 and 1, got 'high'"),
        ("accuracy:90", "between 0 and 1, got '90'"),
        ("accuracy:nan", "between 0 and 1"),
        ("log_loss:inf", "at least 0"),
        ("log_loss:-1", "at least 0"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_early(spec, message):
    with pytest.raises(errors.UsageError, match=message):
        gates.check_spec(spec, _MEASURES)


def test_every_known_metric_is_among_the_figures():
    found = classification_metrics.compute_metrics(
        np.array([0, 1]), np.eye(2), class_names=("a", "b"), seed=0
    )

    assert {
        *_MEASURES.lower_is_better,
        *_MEASURES.higher_is_better,
    } <= set(found)


def _with(**changes):
    return {**FIGURES, **changes}


def test_a_higher_accuracy_is_better():
    worse = _with(accuracy=0.89, log_loss=0.1)

    assert (
        gates.explain_not_better(FIGURES, worse, "the probe", _MEASURES) is None
    )
    sentence = gates.explain_not_better(worse, FIGURES, "the probe", _MEASURES)
    assert "not better than the probe" in sentence
    assert "-0.0100" in sentence


def test_equal_accuracies_are_decided_by_log_loss():
    assert (
        gates.explain_not_better(FIGURES, _with(log_loss=0.4), "it", _MEASURES)
        is None
    )
    assert gates.explain_not_better(
        FIGURES, _with(log_loss=0.2), "it", _MEASURES
    )


def test_a_result_is_not_better_than_itself():
    assert gates.explain_not_better(FIGURES, FIGURES, "the probe", _MEASURES)


@pytest.mark.parametrize("key", ["split", "data_fingerprint", "examples"])
def test_results_on_other_pictures_are_not_compared(key):
    with pytest.raises(errors.RunError, match="cannot be compared"):
        gates.explain_not_better(
            _with(**{key: 1}), _with(**{key: 2}), "the other run", _MEASURES
        )
