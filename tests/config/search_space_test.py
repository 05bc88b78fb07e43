"""Entries of --search."""

import pytest

from tf_finetune import errors
from tf_finetune.config import search_space, tune_config


def test_an_interval_has_bounds_and_a_scale():
    (rate,) = search_space.parse_search(["learning_rate:log:1e-5..3e-3"])
    assert (rate.low, rate.high) == (1e-5, 3e-3)
    assert rate.is_log and not rate.is_whole
    assert rate.text == "learning_rate:log:1e-05..0.003"
    assert rate.contains(1e-3) and not rate.contains(None)
    (epochs,) = search_space.parse_search([" epochs : 5..30"])
    assert epochs.is_whole and not epochs.is_log
    assert epochs.parse(7.0) == 7 and isinstance(epochs.parse(7.0), int)


def test_choices_become_values_of_their_option():
    trainable, frozen, size = search_space.parse_search(
        ["trainable:top|all|conv5*", "freeze_batch_norm:true|false",
         "batch_size:16|auto"]
    )  # fmt: skip
    assert [*map(trainable.parse, trainable.texts)] == [
        ("top",), ("all",), ("conv5*",)
    ]  # fmt: skip
    assert [*map(frozen.parse, frozen.texts)] == [True, False]
    assert [*map(size.parse, size.texts)] == [16, "auto"]
    assert trainable.contains(("all",)) and not trainable.contains(("head",))
    assert trainable.to_drawn(("all",)) == "all"


def test_none_is_a_choice_of_an_option_that_may_be_left_open():
    (rate,) = search_space.parse_search(["learning_rate:none|1e-3"])
    assert [*map(rate.parse, rate.texts)] == [None, 1e-3]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("learning_rat:1..2", "Did you mean 'learning_rate'?"),
        ("epochs", "has no values; write OPTION:LOW..HIGH"),
        ("learning_rate:5..1", "LOW below HIGH"),
        ("learning_rate:1..nan", "LOW below HIGH"),
        ("learning_rate:log:0..1", "LOW above 0"),
        ("epochs:1.5..3", "two whole numbers"),
        ("trainable:top", "a flag of its own: --trainable=top"),
        ("augmentation:none|none", "two different values"),
        ("augmentation:none|strnog", "got 'strnog'"),
        ("trainable:1..2", "Write trainable:A|B"),
        ("dropout:0.1..2", "--dropout must be at least 0 and below 1"),
        ("data:a|b", "compared on the same pictures"),
        ("workdir:a|b", "it changes no result"),
        ("seed:1..5", "it draws the splits"),
    ],
)
def test_an_impossible_entry_is_explained(entry, said):
    with pytest.raises(errors.UsageError) as caught:
        search_space.parse_search([entry])
    assert said in str(caught.value)


def test_an_option_is_searched_once():
    with pytest.raises(errors.UsageError, match="names epochs twice"):
        search_space.parse_search(["epochs:1..3", "epochs:4|5"])
    with pytest.raises(errors.UsageError, match="names no option"):
        search_space.parse_search([])


def test_the_default_space_is_possible():
    config = tune_config.TuneConfig(study="s")
    assert [each.option for each in config.dimensions] == [
        entry.partition(":")[0] for entry in search_space.DEFAULT_ENTRIES
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"study": ""}, "--study is needed"),
        ({"trials": 1}, "--trials must be at least 2"),
        ({"time_budget": "soon"}, "must be a duration"),
        ({"storage": "sqlite:///a.db"}, "loses trials"),
        ({"storage": "a.db"}, "is no URL"),
    ],
)
def test_options_of_a_study_are_checked(changes, said):
    with pytest.raises(errors.UsageError, match=said):
        tune_config.TuneConfig(**{"study": "s", **changes})
