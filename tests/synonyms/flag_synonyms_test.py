"""Tests of tf_finetune/synonyms/flag_synonyms.py and its tables."""

import re

import pytest
from absl import flags as absl_flags

from tf_finetune.config import (
    command_configs,
    options,
    serve_config,
    train_config,
)
from tf_finetune.synonyms import flag_synonyms

_COMMANDS = (
    train_config.TrainConfig,
    command_configs.EvaluateConfig,
    command_configs.PredictConfig,
    command_configs.ExportConfig,
    command_configs.CacheConfig,
    serve_config.ServeConfig,
)  # fmt: skip
_OURS = {name for each in _COMMANDS for name, *_ in options.list_options(each)}
_ABSL = {"flagfile", "verbosity"}


@pytest.mark.parametrize(
    "each", flag_synonyms.SYNONYMS, ids=lambda m: m.advice[:30]
)
def test_every_synonym_leads_to_a_flag_that_exists(each):
    assert not each.flag or each.flag in {*_OURS, *_ABSL}
    for name in re.findall(r"--(\w+)", each.advice):
        assert name in {*_OURS, *_ABSL}, each.advice


def test_every_value_of_an_advice_is_accepted():
    for each in flag_synonyms.SYNONYMS:
        for name, text in re.findall(r"--(\w+)=([\w./,:*]*\w)", each.advice):
            if name in _OURS:
                owners = [e for e in _COMMANDS if name in _options_of(e)]
                values = _flag_values(owners[0])
                values(["program", f"--{name}={text}"])


def _options_of(config_class):
    return [name for name, *_ in options.list_options(config_class)]


def _flag_values(config_class):
    values = absl_flags.FlagValues()
    options.define_flags(config_class, values)
    return values


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("lr", "learning_rate"),
        ("learningRate", "learning_rate"),
        ("base-lr", "learning_rate"),
        ("model", "backbone"),
        ("arch", "backbone"),
        ("imgsz", "image_size"),
        ("img_size", "image_size"),
        ("epoch", "epochs"),
        ("num_train_epochs", "epochs"),
        ("data_dir", "data"),
        ("val_split", "validation_fraction"),
        ("pretrained", "weights"),
        ("num_classes", ""),
        ("device", ""),
        ("freeze", "trainable"),
        ("augment", "augmentation"),
        ("no-augment", "augmentation"),
        ("name", "workdir"),
        ("project", "workdir"),
        ("bs", "batch_size"),
        ("batch", "batch_size"),
        ("per_device_train_batch_size", "batch_size"),
        ("wd", "weight_decay"),
        ("workers", ""),
        ("amp", "precision"),
        ("fp16", "precision"),
        ("drop_rate", "dropout"),
        ("early_stopping", "patience"),
        ("max_grad_norm", "clip_norm"),
        ("resume", ""),
        ("checkpoint", "weights"),
        ("exist_ok", "overwrite"),
    ],
)
def test_words_of_other_packages_are_known_to_training(name, flag):
    known = _options_of(train_config.TrainConfig)
    assert flag_synonyms.find_synonym(name, known).flag == flag


def test_one_word_may_mean_another_flag_to_another_command():
    def meant(name, config_class):
        known = _options_of(config_class)
        return flag_synonyms.find_synonym(name, known).flag

    assert meant("model", train_config.TrainConfig) == "backbone"
    assert meant("model", command_configs.PredictConfig) == "workdir"
    assert meant("weights", command_configs.EvaluateConfig) == "workdir"
    assert meant("output_dir", train_config.TrainConfig) == "workdir"
    assert meant("output_dir", command_configs.ExportConfig) == "output"
    assert meant("batch_size", serve_config.ServeConfig) == "max_batch_size"
    assert meant("source", command_configs.PredictConfig) == "data"
    assert meant("model_base_path", serve_config.ServeConfig) == "exports"


def test_a_word_that_nobody_uses_is_unknown():
    assert flag_synonyms.find_synonym("zzz", ["epochs"]) is None
    assert flag_synonyms.find_misspelled("zzz", ["epochs"]) is None
    assert flag_synonyms.find_misspelled("num_workrs", ["epochs"]).flag == ""
