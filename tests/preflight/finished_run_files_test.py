"""Tests of tf_finetune/preflight/finished_run_files.py."""

import pytest

from tf_finetune import errors, files
from tf_finetune.config import command_configs, options
from tf_finetune.preflight import evaluate, export, predict


class TestWriting:
    """What is written at the end is tried at the start."""

    @pytest.fixture
    def finished(self, finished):
        (finished / "file").write_text("")
        return finished

    _COMMANDS = (
        (command_configs.ExportConfig, export.check_export, {}),
        (command_configs.EvaluateConfig, evaluate.check_evaluation, {}),
        (
            command_configs.PredictConfig,
            predict.check_prediction,
            {"data": "1.png"},
        ),
    )

    @pytest.mark.parametrize("command", _COMMANDS)
    @pytest.mark.parametrize(
        "output", ["file/below", "file/a/b", "/proc/1.json", "/proc/a/b"]
    )
    def test_what_cannot_be_written_is_refused(self, finished, command, output):
        config, check, more = command
        given = {"workdir": str(finished), "output": output, **more}
        with pytest.raises(errors.UsageError, match="--output="):
            check(options.from_keywords(config, given))

    @pytest.mark.parametrize("command", _COMMANDS[:2])
    def test_a_workdir_that_cannot_be_written_needs_an_output(
        self, finished, command, monkeypatch
    ):
        def refuse(prefix, dir):
            # As for a folder on a disk that is read-only.
            if str(dir) == str(finished):
                raise OSError(30, "Read-only file system")
            return really(prefix=prefix, dir=dir)

        really = files.tempfile.mkstemp
        monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
        config, check, more = command
        given = {"workdir": str(finished), **more}
        with pytest.raises(
            errors.UsageError, match="Read-only .* with --output"
        ):
            check(options.from_keywords(config, given))
        (finished / "other").mkdir()
        output = str(finished / "other" / "new" / "deep")
        check(options.from_keywords(config, {**given, "output": output}))
        assert not list((finished / "other").iterdir())

    @pytest.mark.parametrize("command", _COMMANDS[1:])
    @pytest.mark.parametrize("name", ["run.json", "model.keras", "link.csv"])
    def test_files_of_a_run_are_not_written_over(self, finished, command, name):
        (finished / "model.keras").write_text("")
        (finished / "link.csv").symlink_to("predictions.csv")
        (finished / "predictions.csv").write_text("")
        config, check, more = command
        given = {"workdir": str(finished), "output": name, **more}
        with pytest.raises(errors.UsageError, match="a file of the run in"):
            check(options.from_keywords(config, given))

    def test_the_data_is_not_written_over(self, finished):
        config = command_configs.PredictConfig(
            workdir=str(finished), data="file", output=str(finished / "file")
        )
        with pytest.raises(errors.UsageError, match="it is --data itself"):
            predict.check_prediction(config)

    def test_masks_are_not_written_into_a_workdir(self, finished):
        files.write_text(
            finished / "run.flags", "--data=x\n--task=segmentation"
        )
        config = command_configs.PredictConfig(
            workdir=str(finished), data="1.png", output=str(finished)
        )
        with pytest.raises(errors.UsageError, match="is the workdir of a run"):
            predict.check_prediction(config)
