"""Tests of what is known before TensorFlow starts."""

import pathlib

import pytest

from tf_finetune import checking, errors, files
from tf_finetune.config import options, train, use


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


class TestExport:
    @pytest.fixture
    def finished(self, here):
        """A folder that says what a finished run without validation says."""
        files.write_json(here / "run.json", {"status": "finished"})
        files.write_json(here / "data.json", {"images": {"train": 9}})
        files.write_text(here / "run.flags", "--data=pictures\n")
        return here

    def _config(self, folder, **keywords):
        return options.from_keywords(
            use.ExportConfig, {"workdir": str(folder), **keywords}
        )

    def test_calibration_without_validation_pictures_is_refused(self, finished):
        checking.check_export(self._config(finished))
        with pytest.raises(errors.UsageError, match="--validation_fraction"):
            checking.check_export(self._config(finished, calibrate=True))

    def test_calibration_with_validation_pictures_is_let_through(
        self, finished
    ):
        images = {"train": 9, "validation": 3}
        files.write_json(finished / "data.json", {"images": images})
        checking.check_export(self._config(finished, calibrate=True))

    def test_a_file_for_several_formats_is_refused(self, finished):
        config = self._config(
            finished, format="h5,keras", output=str(finished / "x.keras")
        )
        with pytest.raises(errors.UsageError, match="makes 2 exports"):
            checking.check_export(config)


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
