"""Tests of the options of a recipe, and of flags marked as given."""

import pytest
from absl import flags

from tf_finetune import cli, errors
from tf_finetune.config import options, recipe_config, train_config


def _parse(*arguments, config_class=train_config.TrainConfig):
    config, _ = cli.parse_arguments(
        config_class, ["--data=d", *arguments], flags.FlagValues()
    )
    return config


def test_given_flags_are_left_to_the_user_even_at_their_defaults():
    config = _parse("--recipe=auto", "--epochs=10", "--seed=1")
    assert config.recipe.recipe_skip == ("epochs",)


def test_flags_of_a_flagfile_are_given_too(tmp_path):
    path = tmp_path / "own.flags"
    path.write_text("--trainable=top\n--recipe=auto\n")
    config = _parse(f"--flagfile={path}", "--recipe_skip=learning_rate")
    assert set(config.recipe.recipe_skip) == {"trainable", "learning_rate"}


def test_nothing_is_marked_without_a_recipe():
    assert _parse("--epochs=10").recipe.recipe_skip == ()


def test_the_command_recipe_marks_given_flags():
    config = _parse("--epochs=10", config_class=recipe_config.RecipeConfig)
    assert config.recipe_skip == ("epochs",)


def test_a_config_that_is_read_back_is_as_it_was(tmp_path):
    config = _parse("--recipe=auto", "--epochs=10")
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
