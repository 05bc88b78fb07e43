"""Tests of the options of a recipe, and of flags marked as given."""

import pytest
from absl import flags

from tf_finetune import cli, errors
from tf_finetune.config import (
    options,
    recipe_config,
    recipe_options,
    train_config,
    tune_config,
)


def _parse(*arguments, config_class=train_config.TrainConfig):
    config, _ = cli.parse_arguments(
        config_class, ["--data=d", *arguments], flags.FlagValues()
    )
    return config


def test_given_flags_are_left_to_the_user_even_at_their_defaults():
    config = _parse("--epochs=10", "--seed=1")
    assert config.recipe.recipe_skip == ("epochs",)


def test_flags_of_a_flagfile_are_given_too(tmp_path):
    path = tmp_path / "own.flags"
    path.write_text("--trainable=top\n--recipe=auto\n")
    config = _parse(f"--flagfile={path}", "--recipe_skip=learning_rate")
    assert set(config.recipe.recipe_skip) == {"trainable", "learning_rate"}


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--recipe=none --epochs=9", "--recipe=none leaves them as they are"),
        ("--stages=top:2 --optimizer=sgd", "--stages names the layers"),
        ("--epochs=0", "--epochs=0 leaves fine-tuning out"),
        ("--trainable=head", "--trainable=head leaves fine-tuning out"),
        ("--epochs=9 --unlabeled_data=u", "with --objective=pseudo_label"),
        ("--epochs=9 --unlabeled_data=u --teacher=t", "=distillation"),
        ("--epochs=9 --objective=own:method", "with --objective=own:method"),
        ("--epochs=9 --strategy=multi_worker", "in several processes"),
    ],
)
def test_no_recipe_is_made_and_nothing_marked_where_trials_cannot_choose(
    flags, reason
):
    config = _parse(*flags.split())
    assert not config.uses_recipe
    assert config.recipe.recipe_skip == ()
    assert reason in recipe_options.explain_no_recipe(config)


@pytest.mark.parametrize(
    "flags", ["", "--trainable=head --head_init=random", "--task=regression"]
)
def test_a_recipe_is_made_where_something_is_fine_tuned(flags):
    config = _parse(*flags.split())
    assert config.uses_recipe
    assert not recipe_options.explain_no_recipe(config)
    assert config.recipe.budget_seconds == 600


def test_a_study_marks_nothing():
    given = ("--study=s", "--epochs=10")
    config = _parse(*given, config_class=tune_config.TuneConfig)
    assert config.run.recipe.recipe_skip == ()


def test_the_command_recipe_marks_given_flags():
    config = _parse("--epochs=10", config_class=recipe_config.RecipeConfig)
    assert config.recipe_skip == ("epochs",)


def test_a_config_that_is_read_back_is_as_it_was(tmp_path):
    config = _parse("--recipe_budget=9m", "--epochs=10")
    path = tmp_path / "run.flags"
    path.write_text(options.to_flagfile(config))
    assert options.from_flagfile(train_config.TrainConfig, str(path)) == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe_skip": "epoch"}, "Unknown --recipe_skip 'epoch'"),
        ({"time_budget": "soon"}, "--time_budget must be a duration"),
        ({"cache_gb": 0}, "--cache_gb must be above 0"),
    ],
)
def test_an_impossible_value_is_refused(changes, words):
    with pytest.raises(errors.UsageError, match=words):
        options.from_keywords(recipe_config.RecipeConfig, changes)
