"""Tests of tf_finetune/recipe_search/command.py."""

import json

import pytest

import tf_finetune
from tf_finetune import errors
from tf_finetune.config import options, recipe_config, train_config
from tf_finetune.recipe_search import command


def _config(**keywords):
    return options.from_keywords(recipe_config.RecipeConfig, keywords)


def test_the_training_config_has_the_same_options():
    found = command.make_train_config(
        _config(data="d", epochs=3, output="o", time_budget="9s", seed=4)
    )
    assert found.training.epochs == 3
    assert found.recipe.recipe == "auto"
    assert found.recipe.budget_seconds == 9
    assert found.seed == 4


def test_the_folder_is_named_after_data_and_backbone():
    found = command.choose_folder(_config(data="my flowers/"))
    assert str(found) == "runs/recipe-my-flowers-mobilenet_v2"


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"data": "d", "keep_classifier": True}, "nothing to choose"),
        ({"data": ""}, "--data is needed"),
        ({"data": "d", "strategy": "multi_worker"}, "several processes, and"),
        (
            {"data": "digits:0-1", "epochs": 0},
            "--epochs=0 leaves fine-tuning out. Leave",
        ),
    ],
)
def test_an_impossible_call_is_refused(keywords, words):
    with pytest.raises(errors.UsageError, match=words):
        command.recipe_run(_config(**keywords), report=print)


def test_a_file_in_place_of_the_folder_is_refused_before_any_work(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(command, "_decide", None)
    (tmp_path / "file").write_text("")
    config = _config(
        data="digits:0-1",
        backbone="small_cnn",
        weights="digits",
        image_size=32,
        output=str(tmp_path / "file"),
    )
    with pytest.raises(errors.UsageError, match="written: it is a file"):
        command.recipe_run(config, report=print)


@pytest.mark.slow
def test_a_recipe_keeps_to_its_budget_and_trains_nothing_that_is_kept(
    tmp_path,
):
    shown = []
    found = tf_finetune.recipe(
        "digits:5-9",
        backbone="small_cnn",
        weights="digits",
        image_size=32,
        max_train_per_class=10,
        epochs=1,
        time_budget="1s",
        output=str(tmp_path / "found"),
        cache_dir=str(tmp_path / "cache"),
        report=shown.append,
    )
    content = json.loads((tmp_path / "found" / "recipe.json").read_text())
    assert content == found.content
    assert len(content["not_tried"]) == 5
    assert content["budget_seconds"] == 1
    assert found.settings == {}
    flags = str(tmp_path / "found" / "recipe.flags")
    config = options.from_flagfile(train_config.TrainConfig, flags)
    assert config.training.epochs == 1
    assert "not tried: trainable top" in "\n".join(shown)
    assert not [*(tmp_path / "found").glob("**/*.h5")]
