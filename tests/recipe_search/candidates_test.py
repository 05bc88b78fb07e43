"""Tests of tf_finetune/recipe_search/candidates.py."""

import pytest

from tf_finetune.recipe_search import candidates

_COSTS = candidates.Costs(
    load=0.002, forward=0.01, frozen_share=0.8, missing_views=1800
)


def _list(facts):
    return [
        (",".join(each.trainable), each.layer_decay, each.learning_rate)
        for each in candidates.list_candidates(facts)
    ]


def test_the_top_is_tried_at_four_rates_and_then_all_layers(make_facts):
    assert _list(make_facts()) == [
        ("top", "auto", 1e-3),
        ("top", "auto", 3e-3),
        ("top", "auto", 3e-4),
        ("top", "auto", 1e-4),
        ("all", "auto", 1e-3),
        ("all", 1.0, 1e-3),
    ]


def test_few_pictures_are_not_tried_with_one_rate_for_all_layers(make_facts):
    listed = _list(make_facts(training_pictures=499))
    assert listed[-1] == ("all", "auto", 1e-3)
    assert len(listed) == 5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"learning_rate": 2e-4},
            [("top", "auto", 2e-4), ("all", "auto", 2e-4), ("all", 1.0, 2e-4)],
        ),
        (
            {"trainable": "all"},
            [("all", "auto", r) for r in (1e-3, 3e-3, 3e-4, 1e-4)],
        ),
        (
            {"learning_rate": 2e-4, "layer_decay": 0.8},
            [("top", 0.8, 2e-4), ("all", 0.8, 2e-4)],
        ),
        # All layers have no activations that could be cached.
        (
            {"learning_rate": 2e-4, "cache": "on"},
            [],
        ),
        ({"learning_rate": 2e-4, "trainable": "stage4"}, []),
        # Its rate is another one.
        (
            {"adaptation": "lora"},
            [("top", "auto", None), ("all", "auto", None)],
        ),
    ],
)
def test_given_options_are_the_same_in_every_candidate(
    make_facts, given, expected
):
    assert _list(make_facts(given)) == expected


def test_rates_are_those_of_adamw(make_facts):
    found = make_facts()
    settings = {**found.settings, "optimizer": "momentum"}
    listed = _list(make_facts(settings=settings))
    assert {rate for _, _, rate in listed} == {None}


def test_nothing_is_tried_where_figures_have_no_log_loss(make_facts):
    assert _list(make_facts(can_compare=False)) == []


def test_the_cost_of_the_top_is_counted_on_cached_views(make_facts):
    top, *_, everything, _ = candidates.list_candidates(make_facts())
    found = make_facts(costs=_COSTS)
    # 3 s to start, 1,800 views of 0.002 + 0.8 · 0.01 s, and ten epochs of 600
    # steps of 3 · 0.2 · 0.01 s; 150 passes of 0.2 · 0.01 s after each epoch and
    # five times on the way from the start.
    assert candidates.estimate_seconds(top, found) == pytest.approx(
        3 + 18 + 10 * 3.6 + 15 * 0.3
    )
    # 15 s to start; every step decodes its picture: 0.002 + 3 · 0.01 s, and
    # each validation pass 0.002 + 0.01 s.
    assert candidates.estimate_seconds(everything, found) == pytest.approx(
        15 + 10 * 600 * 0.032 + 15 * 150 * 0.012
    )


def test_the_time_of_a_trial_of_the_same_layers_is_taken(
    make_facts, make_trial
):
    found = make_facts(costs=_COSTS, trials=(make_trial(0.4),))
    _, second, *_ = candidates.list_candidates(found)
    assert candidates.estimate_seconds(second, found) == 2.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (1.0, 0.75, 0.5)),
        ({"interpolate": 0.9}, (0.9,)),
        ({"head_init": "random"}, (1.0,)),
        ({"adaptation": "lora"}, (1.0,)),
    ],
)
def test_shares_are_tried_where_they_have_a_meaning(
    make_facts, given, expected
):
    assert candidates.list_shares(make_facts(given)) == expected


def test_the_error_of_a_difference_is_that_of_paired_blocks(make_trial):
    first = make_trial(0.4, block_losses=(0.1, 0.3, 0.8))
    second = make_trial(0.5, block_losses=(0.2, 0.4, 0.9))
    # Equally apart in each block.
    assert first.estimate_error(second) == pytest.approx(0, abs=1e-12)
    third = make_trial(0.5, block_losses=(0.1, 0.3, 1.1))
    # Differences 0, 0, -0.3: deviation 0.3 / sqrt(3), over three blocks.
    assert first.estimate_error(third) == pytest.approx(0.1)
