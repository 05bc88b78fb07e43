"""Tests of tf_finetune/recipe_search/writing.py."""

import json

import pytest

from tf_finetune.config import options, train_config
from tf_finetune.recipe_search import recipe, rules, writing


@pytest.fixture
def made(make_facts, make_trial):
    """The recipe of two trials; the seed and the epochs are given."""
    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": "my flowers", "epochs": 3, "seed": 7, "recipe": "auto"},
    )
    facts = make_facts(
        {"epochs": 3},
        trials=(make_trial(0.5, 1e-3), make_trial(float("nan"), 3e-3)),
    )
    decisions = rules.decide(facts)
    return recipe.Recipe(
        config=recipe.apply_decisions(config, decisions),
        decisions=decisions,
        facts=facts,
        fingerprint="data",
    )


def test_a_decision_is_one_line_with_its_reason_and_flag(made):
    (line, *_) = writing.format_lines(made)
    assert line == (
        "learning rate 0.001: best of two runs on cached features, validation "
        "log loss [0.500] nan at 0.001 0.003 (--learning_rate)"
    )


def test_the_flagfile_repeats_the_config_without_a_recipe(made, tmp_path):
    path = tmp_path / "recipe.flags"
    path.write_text(writing.build_flags(made))
    assert options.from_flagfile(train_config.TrainConfig, path) == made.config
    assert made.config.recipe.recipe == "none"


def test_each_chosen_flag_has_its_reason_above_it(made):
    lines = writing.build_flags(made).splitlines()
    place = lines.index("--learning_rate=0.001")
    assert lines[place - 1].startswith("# ")
    assert all(len(line) < 80 for line in lines)


def test_the_json_file_holds_facts_decisions_and_candidates(made):
    content = json.loads(json.dumps(writing.build_json(made), allow_nan=False))
    assert content["facts"]["training_pictures"] == 600
    found = {each["flag"]: each for each in content["decisions"]}
    assert found["epochs"]["given"] is True
    assert found["learning_rate"]["given"] is False
    assert found["learning_rate"]["source"]
    assert found["learning_rate"]["candidates"] == [
        {
            "value": 0.001,
            "validation_log_loss": 0.5,
            "validation_accuracy": 0.9,
            "seconds": 2.0,
        },
        {
            "value": 0.003,
            "validation_log_loss": None,
            "validation_accuracy": 0.9,
            "seconds": 2.0,
        },
    ]


def test_the_lines_say_where_trials_were_judged(make_facts, make_trial):
    facts = make_facts(validation_pictures=49, trials=(make_trial(0.5),))
    found = recipe.Recipe(
        config=train_config.TrainConfig(),
        decisions=(),
        facts=facts,
        fingerprint="data",
    )
    assert any(
        "a fifth of the training pictures and on the 49" in line
        for line in writing.format_lines(found)
    )
