"""Tests of tf_finetune/preflight/kept_classifier.py."""

import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.preflight import (
    config_completion,
    kept_classifier,
    train,
)


@pytest.fixture
def weights(tmp_path):
    """A file that looks like a .h5; what it holds is read later."""
    path = tmp_path / "whole.h5"
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv"]
    return str(path)


def _config(**keywords):
    return options.from_keywords(
        train_config.TrainConfig, {"keep_classifier": True, **keywords}
    )


def test_neither_data_nor_names_are_needed(weights):
    kept_classifier.check_config(_config(weights=weights))
    kept_classifier.check_config(_config(weights=weights, data="photos"))


@pytest.mark.parametrize("given", ["imagenet", "none"])
def test_weights_without_a_classifier_are_refused(given):
    with pytest.raises(errors.UsageError) as caught:
        kept_classifier.check_config(_config(weights=given))
    message = str(caught.value)
    assert "come without a classifier" in message
    assert "efficientnet_lite0" in message


def test_options_of_training_are_refused(weights):
    config = _config(weights=weights, epochs=3, dropout=0.5)
    with pytest.raises(errors.UsageError) as caught:
        kept_classifier.check_config(config)
    assert str(caught.value) == (
        "--dropout=0.5, --epochs=3 are for training, and --keep_classifier "
        "trains nothing. Leave them out, or leave --keep_classifier out."
    )


def test_options_of_training_in_a_flagfile_are_dropped(weights):
    config = config_completion.drop_unused_options(
        _config(weights=weights, epochs=3, resize="crop"), {"weights"}
    )
    kept_classifier.check_config(config)
    assert (config.training.epochs, config.model.resize) == (10, "crop")


def test_options_of_pictures_are_read_without_training(weights):
    config = _config(weights=weights, resize="crop", max_pixels=1000, seed=3)
    kept_classifier.check_config(config)


def test_a_network_that_normalizes_pooled_features_is_refused(weights):
    config = _config(weights=weights, backbone="convnext_tiny")
    with pytest.raises(errors.UsageError, match="normalizes the pooled"):
        kept_classifier.check_config(config)


def test_a_size_below_the_smallest_is_refused(weights):
    config = _config(weights=weights, backbone="xception", image_size=32)
    with pytest.raises(errors.UsageError, match="which needs 71"):
        kept_classifier.check_config(config)


def test_names_are_for_a_kept_classifier(tmp_path):
    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": str(tmp_path), "class_names": "names.txt", "weights": "none"},
    )
    with pytest.raises(
        errors.UsageError, match="is for --keep_classifier, which"
    ):
        train.check_config(config)
