"""Tests of tf_finetune/config/train_config.py."""

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options, options, train_config

# The names that users, checks and flagfiles rely on.
_PROMISED = [
    "data",
    "data_format",
    "validation_fraction",
    "test_fraction",
    "task",
    "backbone",
    "weights",
    "image_size",
    "trainable",
    "epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "loss",
    "augmentation",
    "seed",
    "workdir",
    "cache_dir",
    "overwrite",
]

# Names that absl and TensorFlow define, or that are theirs by prefix.
_TAKEN = {"log_dir", "v", "verbosity", "help", "flagfile", "logtostderr"}


def _names() -> set[str]:
    return {name for name, *_ in options.list_options(train_config.TrainConfig)}


def test_the_promised_flags_exist():
    assert set(_PROMISED) <= _names()


def test_no_flag_collides_with_those_of_absl():
    assert not _names() & _TAKEN
    tests = {name for name in _names() if name.startswith("test_")}
    assert tests == {"test_fraction"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("validation_fraction", 0.0, "above 0 and below 1, got 0.0"),
        ("test_fraction", 1.0, "at least 0 and below 1, got 1.0"),
        ("batch_size", 0, "at least 1, got 0"),
        ("learning_rate", -1.0, "above 0, got -1.0"),
        ("learning_rate", float("inf"), "finite"),
        ("learning_rate", 1e300, r"at most 3\.4e\+38"),
        ("dropout", 1.0, "at least 0 and below 1, got 1.0"),
        ("seed", -1, "at least 0"),
        ("augmentation_views", 1001, "at least 1 and at most 1000, got 1001"),
        ("epochs", 2**31, "at most 2147483647, got 2147483648"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name, value, words):
    with pytest.raises(errors.UsageError, match=f"--{name} must be {words}"):
        options.from_keywords(train_config.TrainConfig, {name: value})


def test_fractions_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(errors.UsageError, match="leave nothing to train on"):
        data_options.DataOptions(validation_fraction=0.5, test_fraction=0.5)
