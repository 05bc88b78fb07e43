"""Tests of tf_finetune/training/devices/cost_estimate.py."""

import pytest

from tf_finetune.training.devices import cost_estimate

_COSTS = cost_estimate.Costs(load=1.0, frozen=10.0, step=3.0)
_SIZES = {"trained": 100, "validated": 50, "missing_features": 30}


def test_both_ways_are_added_up_from_their_parts():
    on, off = cost_estimate.estimate_fine_tuning(
        _COSTS, **_SIZES, missing_rows=160, views=3, epochs=5
    )
    whole = 1 + 10 + 1
    upper = 5 * (100 * 3 + 50 * 1)
    assert on == pytest.approx(160 * whole + 2 * 100 * 11 + upper)
    assert off == pytest.approx(30 * whole + 5 * 150 * 11 + upper)


@pytest.mark.parametrize(("views", "epochs", "pays"), [
    (4, 10, True),
    (1, 1, True),
    (8, 2, False),
])  # fmt: skip
def test_the_cache_pays_where_epochs_outnumber_views(views, epochs, pays):
    on, off = cost_estimate.estimate_fine_tuning(
        _COSTS, **_SIZES, missing_rows=30, views=views, epochs=epochs
    )
    assert (on < off) == pays


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.4, "12 s"), (300, "5 min"), (9000, "2.5 h")]
)
def test_durations_are_in_words(seconds, text):
    assert cost_estimate.format_duration(seconds) == text
