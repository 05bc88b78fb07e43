"""Tests of tf_finetune/recipe_search/comparison.py."""

import pytest

from tf_finetune.recipe_search import comparison

# Block by block 0.3 lower, 0.1 higher, and so on: a mean of 0.1 with a standard
# error of 0.2 / sqrt(3) = 0.115 over four blocks.
_TOP = (0.2, 0.6, 0.2, 0.6)
_ALL = (0.5, 0.5, 0.5, 0.5)


def _compare(make_facts, *trials):
    facts = make_facts(trials=trials)
    return comparison.find_best(facts), comparison.explain_preference(facts)


def test_within_two_standard_errors_the_settings_best_on_other_sets_are_kept(
    make_facts, make_trial
):
    top = make_trial(0.4, block_losses=_TOP)
    everything = make_trial(0.5, trainable="all", block_losses=_ALL)
    assert everything.estimate_error(top) == pytest.approx(0.2 / 3**0.5)
    best, reason = _compare(make_facts, top, everything)
    assert best is everything
    assert reason.startswith(
        "; 0.400 is lower by less than two standard errors"
    )
    assert "(0.115 each)" in reason


def test_beyond_two_standard_errors_the_lowest_log_loss_is_chosen(
    make_facts, make_trial
):
    top = make_trial(0.25, block_losses=_TOP)
    everything = make_trial(0.5, trainable="all", block_losses=_ALL)
    assert _compare(make_facts, top, everything) == (top, "")


@pytest.mark.parametrize(("start", "is_kept"), [(0.55, True), (0.54, False)])
def test_settings_that_gain_little_over_the_start_are_not_kept(
    make_facts, make_trial, start, is_kept
):
    top = make_trial(0.4, start_log_loss=start, block_losses=_TOP)
    everything = make_trial(
        0.5, trainable="all", start_log_loss=start, block_losses=_ALL
    )
    best, _ = _compare(make_facts, top, everything)
    assert best is (everything if is_kept else top)


@pytest.mark.parametrize(
    "settings",
    [
        {"trainable": "all", "decay": 1.0},
        {"trainable": "all", "rate": 1e-4},
        {"trainable": "top"},
    ],
)
def test_other_settings_must_have_the_lowest_log_loss(
    make_facts, make_trial, settings
):
    other = make_trial(0.5, block_losses=_ALL, **settings)
    top = make_trial(0.4, 3e-3, block_losses=_TOP)
    assert _compare(make_facts, top, other) == (top, "")


def test_of_each_network_the_preferred_or_the_lowest_trial_is_compared(
    make_facts, make_trial
):
    top = make_trial(0.4, block_losses=_TOP)
    worse = make_trial(0.6, 3e-3, block_losses=_ALL)
    falling = make_trial(0.5, trainable="all", block_losses=_ALL)
    uniform = make_trial(0.45, trainable="all", decay=1.0, block_losses=_ALL)
    diverged = make_trial(float("nan"), trainable="head", block_losses=())
    facts = make_facts(trials=(worse, top, diverged, falling, uniform))
    found = comparison.find_best_by(facts, lambda e: e.candidate.trainable)
    assert found == (top, falling)


def test_a_diverged_trial_is_not_preferred(make_facts, make_trial):
    top, other = make_trial(0.4), make_trial(0.5, 3e-3)
    diverged = make_trial(float("nan"), trainable="all", block_losses=())
    assert _compare(make_facts, top, other, diverged) == (top, "")
