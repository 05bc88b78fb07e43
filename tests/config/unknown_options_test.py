"""Tests of tf_finetune/config/unknown_options.py."""

import pytest
from absl import flags

from tf_finetune import errors
from tf_finetune.config import (
    command_configs,
    flag_parser,
    options,
    train_config,
)


def _refusal(*arguments: str, config_class=train_config.TrainConfig) -> str:
    values = flags.FlagValues()
    options.define_flags(config_class, values)
    with pytest.raises(errors.UsageError) as caught:
        flag_parser.parse_arguments(values, arguments)
    return str(caught.value)


def test_every_unknown_flag_of_a_line_is_answered():
    lines = _refusal("--lr", "0.1", "--model", "resnet50", "--imgsz=64")
    first, second, third = lines.splitlines()
    assert first.startswith("Unknown flag --lr. Here it is --learning_rate.")
    assert second.startswith("Unknown flag --model. Here it is --backbone.")
    assert third.startswith("Unknown flag --imgsz. Here it is --image_size.")


def test_a_long_list_ends_at_ten():
    many = _refusal(*(f"--zz{n}=1" for n in range(14)))
    assert len(many.splitlines()) == 11
    assert many.endswith("… and 4 more.")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--learning-rate=1", "It is spelled --learning_rate."),
        ("-learning-rate=1", "It is spelled --learning_rate."),
        ("--Epochs=1", "It is spelled --epochs."),
        ("--batchSize=1", "It is spelled --batch_size."),
        ("-lr=1", "Here it is --learning_rate."),
        ("--bakbone=x", "Did you mean --backbone?"),
        ("--checkpoint_folder=3", "The flags of interruptions: --checkpoint_"),
        ("--top_k=3", "is a flag of `python -m tf_finetune.predict`"),
        ("--num_classes=3", "are read from the data; leave it out."),
        ("--num_clases=3", "are read from the data; leave it out."),
        ("--config=a.yaml", "--flagfile=FILE"),
    ],
)
def test_an_unknown_flag_is_answered_with_what_is_meant(argument, words):
    assert words in _refusal(argument)


def test_a_flag_in_a_flagfile_is_answered_alike(tmp_path):
    (tmp_path / "a.flags").write_text("--lr=0.1\n")
    message = _refusal(f"--flagfile={tmp_path}/a.flags", "--imgsz=3")
    assert "Unknown flag --lr. Here" in message
    assert "Unknown flag --imgsz. Here" in message


def test_a_flag_of_training_is_said_to_be_settled():
    message = _refusal(
        "--image_size=3", config_class=command_configs.PredictConfig
    )
    assert "a finished run keeps what it was trained with" in message


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("epochs=3", "Did you mean --epochs=3?"),
        ("Batch-Size=3", "Did you mean --batch_size=3?"),
        ("imgsz=64", "Here it is --image_size."),
        ("nowhere", "Pictures are given as --data=nowhere."),
        ("flowers", "Did you mean --data=flowers? A folder of that name"),
        ("table.csv", "Did you mean --data=table.csv? A file of that name"),
    ],
)
def test_a_bare_word_is_answered_with_the_flag(
    tmp_path, monkeypatch, argument, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowers").mkdir()
    (tmp_path / "table.csv").touch()
    assert words in _refusal(argument, "--epochs=2")


def test_a_finished_run_as_a_bare_word_is_a_workdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    message = _refusal("run", config_class=command_configs.EvaluateConfig)
    assert "Did you mean --workdir=run?" in message


def test_keywords_of_a_call_are_answered_in_pythons_words():
    with pytest.raises(errors.UsageError) as caught:
        options.from_keywords(
            train_config.TrainConfig,
            {"lr": 0.1, "pretrained": True, "epochs": 3},
        )
    first, second = str(caught.value).splitlines()
    assert first.startswith("Unknown option 'lr'. Here it is learning_rate. ")
    assert first.endswith("learning_rate=0.0001.")
    assert 'weights="imagenet"' in second
    assert "--" not in first + second


def test_what_is_near_a_group_lists_that_group_alone():
    with pytest.raises(errors.UsageError) as caught:
        options.from_keywords(
            train_config.TrainConfig, {"checkpoint_folder": 3}
        )
    message = str(caught.value)
    assert "keep_checkpoints" in message
    assert "backbone" not in message
