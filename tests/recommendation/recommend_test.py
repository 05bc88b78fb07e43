"""Tests of tf_finetune/recommendation/recommend.py before TensorFlow starts."""

import json
import pathlib

import pytest
import torch_files
import torch_golden as golden

import tf_finetune
from tf_finetune import errors
from tf_finetune.config import options, recommend_config
from tf_finetune.recommendation import candidates, recommend, training_config


def _config(**keywords):
    return options.from_keywords(recommend_config.RecommendConfig, keywords)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"data": ""}, "--data is needed"),
        ({"data": "d", "color_map": "colors.csv"}, "--color_map=colors.csv is"),
        ({"data": "d", "download": True}, "Give --backbones"),
        (
            {"data": "d.csv", "numeric_columns": "age", "data_format": "csv"},
            "neither --numeric_columns",
        ),
    ],
)
def test_an_impossible_call_is_refused(keywords, words):
    with pytest.raises(errors.UsageError, match=words):
        recommend.check_config(_config(**keywords))


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"task": "segmentation"}, "--task=segmentation cannot be"),
        ({"pictures_per_class": 1}, "--pictures_per_class must be at least 2"),
        ({"time_budget": "soon"}, "--time_budget must be a duration"),
        ({"max_ms": 0.0}, "--max_ms must be above 0"),
    ],
)
def test_an_impossible_value_is_refused(keywords, words):
    with pytest.raises(errors.UsageError, match=words):
        _config(**keywords)


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.UsageError, match="--output=.*cannot be"):
        tf_finetune.recommend(
            "digits:0-1",
            backbones="small_cnn=digits",
            output=str(tmp_path / "file" / "folder"),
        )


def test_the_folder_is_named_after_the_data():
    config = _config(data="my flowers/")
    assert recommend.choose_folder(config) == pathlib.Path(
        "runs/recommend-my-flowers"
    )


def test_the_command_repeats_the_options_of_the_data():
    config = _config(
        data="my flowers/",
        backbones="small_cnn=digits",
        validation_fraction=0.2,
        seed=3,
    )
    (candidate,) = candidates.list_candidates(config)
    assert training_config.format_command(config, candidate) == (
        "python -m tf_finetune.train '--data=my flowers/' "
        "--validation_fraction=0.2 --backbone=small_cnn --weights=digits "
        "--seed=3"
    )


def test_weights_of_pytorch_are_compared_in_their_own_graph(tmp_path):
    path = torch_files.write_state_dict(
        tmp_path / "mobilenet_v2.pth",
        golden.fill_arrays(golden.read_vector("mobilenet_v2")["arrays"]),
    )
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "architecture": "mobilenet_v2",
                "mean": [0.5] * 3,
                "std": [0.5] * 3,
            }
        )
    )
    config = _config(data="flowers/", backbones=f"mobilenet_v2={path}")
    (candidate,) = candidates.list_candidates(config)
    model = training_config.make_config(config, candidate).model
    assert model.backbone == "mobilenet_v2+torch"
    assert model.preprocessing == "tf"
