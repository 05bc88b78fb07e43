"""Tests of recipe_search/share_choice.py: shares of the way from the start."""

import math
import types

import keras
import numpy as np
import pytest

from tf_finetune.recipe_search import share_choice

_SHARES = (1.0, 0.75, 0.5)


@pytest.fixture
def context():
    model = types.SimpleNamespace(weights=[keras.Variable([4.0, 8.0])])
    return types.SimpleNamespace(
        assembly=types.SimpleNamespace(model=model), data=None
    )


def _judge(context, monkeypatch, loss, figures=None):
    """Judges a network whose log loss is a function of its first weight."""
    (variable,) = context.assembly.model.weights

    def evaluate(*_):
        found = loss(float(variable[0]))
        evidence = types.SimpleNamespace(losses=np.full(3, found))
        return types.SimpleNamespace(
            figures=figures or {"log_loss": found, "accuracy": 0.5},
            evidence=lambda: evidence,
        )

    monkeypatch.setattr(
        share_choice, "_measure_log_loss", lambda *_: loss(float(variable[0]))
    )
    monkeypatch.setattr(share_choice, "_evaluate", evaluate)
    start = [np.array([0.0, 0.0], "float32")]
    return share_choice.judge_shares(context, None, start, _SHARES)


def test_the_network_ends_with_the_share_of_the_lowest_loss(
    context, monkeypatch
):
    found = _judge(context, monkeypatch, lambda weight: abs(weight - 3.1))
    assert found["interpolate"] == 0.75
    assert found["log_loss"] == pytest.approx(0.1)
    assert found["uninterpolated"] == pytest.approx(0.9)
    assert found["start_log_loss"] == pytest.approx(3.1)
    assert found["block_losses"] == pytest.approx((0.1, 0.1, 0.1))
    (variable,) = context.assembly.model.weights
    np.testing.assert_array_equal(variable, [3.0, 6.0])


def test_of_equal_shares_the_end_is_taken(context, monkeypatch):
    found = _judge(context, monkeypatch, lambda weight: 0.3)
    assert found["interpolate"] == 1.0


@pytest.mark.parametrize("bad", [4.0, 2.0, 0.0])
def test_a_share_that_is_no_number_is_a_diverged_trial(
    context, monkeypatch, bad
):
    found = _judge(
        context,
        monkeypatch,
        lambda weight: math.nan if weight == bad else 0.3,
    )
    assert math.isnan(found["log_loss"])
    assert found["block_losses"] == ()
