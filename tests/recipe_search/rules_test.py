"""Tests of tf_finetune/recipe_search/rules.py."""

import pytest

from tf_finetune.config import given_options
from tf_finetune.recipe_search import rules


def _decide(facts):
    return {each.flag: each for each in rules.decide(facts)}


def _changes(facts):
    return dict(rules.collect_changes(rules.decide(facts)))


def test_every_option_of_a_rule_is_declared_as_one_that_a_recipe_chooses():
    flags = [rule.flag for rule in rules.RULES]
    assert sorted(flags) == sorted(given_options.list_recipe_options())
    assert all(rule.source for rule in rules.RULES)


def test_without_trials_few_pictures_change_nothing(make_facts):
    assert _changes(make_facts()) == {}


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        (19_999, {}),
        # 10,000 steps of 625 an epoch.
        (20_000, {"augmentation": "strong", "epochs": 16}),
        # 20,000 steps of 15,625.
        (500_000, {"augmentation": "strong", "epochs": 1}),
    ],
)
def test_large_data_get_their_steps_and_mixup(make_facts, pictures, expected):
    assert _changes(make_facts(training_pictures=pictures)) == expected


@pytest.mark.parametrize(
    "changes",
    [{"can_compare": False}, {"options_given": {"cache": "on"}}],
)
def test_pictures_are_not_mixed_where_that_is_impossible(make_facts, changes):
    found = _changes(make_facts(training_pictures=20_000, **changes))
    assert found == {"epochs": 16}


def test_a_given_option_is_kept_and_noted(make_facts):
    found = _decide(make_facts({"epochs": 3}, training_pictures=20_000))
    assert found["epochs"].value == 3
    assert found["epochs"].given
    assert not found["augmentation"].given


def test_the_rate_with_the_lowest_log_loss_is_chosen(make_facts, make_trial):
    trials = (
        make_trial(0.43, 1e-3),
        make_trial(0.44, 3e-3),
        make_trial(0.45, 3e-4),
        make_trial(0.47, 1e-4),
    )
    found = _decide(make_facts(trials=trials))
    assert found["learning_rate"].value == 1e-3
    assert found["learning_rate"].because == (
        "best of four runs on cached features, validation log loss "
        "0.470 0.450 [0.430] 0.440 at 0.0001 0.0003 0.001 0.003"
    )
    assert found["cache"].value == "on"
    assert "trainable" not in found


def test_the_layers_with_the_lowest_log_loss_are_chosen(make_facts, make_trial):
    trials = (
        make_trial(0.43, 1e-3),
        make_trial(0.40, 3e-3),
        make_trial(0.36, 1e-3, "all", cache="off"),
        make_trial(0.33, 1e-3, "all", 1.0, cache="off"),
    )
    assert _changes(make_facts(trials=trials)) == {
        "trainable": ("all",),
        "layer_decay": 1.0,
        "learning_rate": 1e-3,
        "cache": "off",
    }
    found = _decide(make_facts(trials=trials))
    assert "0.330 (accuracy 0.900) against 0.400 (0.900) of top" in (
        found["trainable"].because
    )


def test_layers_whose_trials_all_diverged_are_left(make_facts, make_trial):
    facts = make_facts(
        trials=(
            make_trial(float("nan")),
            make_trial(float("nan"), 3e-3),
            make_trial(0.5, trainable="all"),
        )
    )
    choice = rules.choose_trainable(facts)
    assert choice.value == ("all",)
    assert choice.because.endswith("against the others, which diverged")


def test_equal_losses_keep_the_cheaper_settings(make_facts, make_trial):
    uniform = make_trial(0.4, trainable="all", decay=1.0, cache="off")
    trials = (make_trial(0.4), uniform)
    assert _changes(make_facts(trials=trials))["trainable"] == ("top",)


def test_a_diverged_trial_is_never_chosen(make_facts, make_trial):
    trials = (make_trial(float("nan"), 3e-3), make_trial(0.9, 1e-3))
    found = _decide(make_facts(trials=trials))
    assert found["learning_rate"].value == 1e-3
    assert "[0.900] nan at 0.001 0.003" in found["learning_rate"].because


def test_a_single_trial_decides_nothing(make_facts, make_trial):
    assert _changes(make_facts(trials=(make_trial(0.4),))) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"validation_pictures": 99}, {"keep_epoch": "last"}),
        ({"validation_pictures": 100}, {}),
        ({"validation_pictures": 99, "can_compare": False}, {}),
    ],
)
def test_few_validation_pictures_choose_no_epoch(make_facts, changes, expected):
    assert _changes(make_facts(**changes)) == expected


@pytest.mark.parametrize("given", [{"patience": 9}, {"schedule": "constant"}])
def test_an_epoch_is_chosen_where_options_of_the_run_ask_for_it(
    make_facts, given
):
    found = make_facts(given, given=frozenset(), validation_pictures=50)
    assert _changes(found) == {}


def test_the_share_of_the_preferred_trial_is_chosen(make_facts, make_trial):
    trials = (
        make_trial(0.43, interpolate=0.5, uninterpolated=0.46),
        make_trial(0.40, 3e-3, interpolate=0.75, uninterpolated=0.41),
    )
    found = _decide(make_facts(trials=trials))["interpolate"]
    assert found.value == 0.75
    assert found.because.endswith("log loss is 0.400, at its end 0.410")
    whole = (make_trial(0.43, interpolate=0.5), make_trial(0.40, 3e-3))
    assert "interpolate" not in _decide(make_facts(trials=whole))


def test_a_preference_is_explained(make_facts, make_trial):
    top = make_trial(0.40, block_losses=(0.2, 0.6))
    everything = make_trial(0.42, trainable="all", block_losses=(0.4, 0.44))
    found = _decide(make_facts(trials=(top, everything)))["trainable"]
    assert found.value == ("all",)
    assert found.because == (
        "validation log loss 0.420 (accuracy 0.900) against 0.400 (0.900) of "
        "top; 0.400 is lower by less than two standard errors (0.180 each), "
        "and on other sets these settings were best"
    )
