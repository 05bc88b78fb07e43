"""Tests of what is known before TensorFlow starts."""

import pathlib

import pytest

from tf_finetune import checking, errors
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "parameter_server"}, "has no model.fit for it"),
        ({"tpu": "mine"}, "--tpu=mine needs --strategy=tpu"),
        ({"clip_norm": 1.0, "clip_variable_norm": 1.0}, "exclude each other"),
        ({"strategy": "multi_worker"}, "needs --workdir"),
        (
            {"strategy": "multi_worker", "workdir": "a", "plan": True},
            "--plan measures one process",
        ),
        (
            {"strategy": "multi_worker", "workdir": "a", "batch_size": "auto"},
            "cannot be tried",
        ),
    ],
)
def test_what_several_replicas_cannot_do_is_refused(changes, message):
    with pytest.raises(errors.UsageError, match=message):
        checking.check(_config(**changes))


@pytest.mark.parametrize(
    ("task", "head"), [("segmentation", "linear"), ("classification", "unet")]
)
def test_a_head_of_another_task_is_refused(task, head):
    with pytest.raises(errors.UsageError, match=f"--head={head} is not for"):
        checking.check(_config(task=task, head=head))


def test_each_task_has_a_head_of_its_own_unless_one_is_named():
    for task in ("classification", "segmentation"):
        checking.check(_config(task=task))
