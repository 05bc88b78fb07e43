"""Tests of what is known before TensorFlow starts."""

import pathlib

import pytest

from tf_finetune import checking
from tf_finetune.config import options, train


def _config(**keywords):
    return options.from_keywords(
        train.TrainConfig, {"data": "digits:5-9", **keywords}
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestAbsolute:
    def test_relative_paths_that_exist_become_absolute(self, here):
        (here / "pictures").mkdir()
        (here / "mine.h5").touch()
        config = checking.absolute(_config(data="pictures", weights="mine.h5"))
        assert pathlib.Path(config.data.data) == here / "pictures"
        assert pathlib.Path(config.model.weights) == here / "mine.h5"

    @pytest.mark.parametrize("word", ["none", "imagenet", "digits"])
    def test_a_name_stays_a_name_beside_a_folder_called_so(self, here, word):
        (here / word).mkdir()
        backbone = "small_cnn" if word == "digits" else "resnet50"
        config = checking.absolute(_config(weights=word, backbone=backbone))
        assert config.model.weights == word

    def test_a_word_for_the_weights_may_be_a_folder_of_pictures(self, here):
        (here / "probe").mkdir()
        config = checking.absolute(_config(data="probe"))
        assert pathlib.Path(config.data.data) == here / "probe"
