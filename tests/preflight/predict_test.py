"""Tests of tf_finetune/preflight/predict.py."""

import pytest

from tf_finetune import errors, files
from tf_finetune.config import command_configs
from tf_finetune.preflight import predict


class TestPrediction:
    @pytest.mark.parametrize(
        ("task", "output", "message"),
        [
            (
                "classification",
                "masks",
                "--window_overlap=0.5 is for --task=segmentation; "
                "--task=classification, of the run, does not read it",
            ),
            ("segmentation", None, "Give --output"),
        ],
    )
    def test_windows_that_nothing_would_use_are_refused(
        self, here, task, output, message
    ):
        files.write_json(here / "run.json", {"status": "finished"})
        files.write_text(here / "run.flags", f"--data=x\n--task={task}\n")
        config = command_configs.PredictConfig(
            workdir=str(here), data="x", output=output, window_overlap=0.5
        )
        with pytest.raises(errors.UsageError, match=message):
            predict.check_prediction(config)

    def test_a_table_is_not_written_over_a_folder(self, here):
        files.write_json(here / "run.json", {"status": "finished"})
        files.write_text(here / "run.flags", "--data=x\n")
        config = command_configs.PredictConfig(
            workdir=str(here), data="x", output=str(here)
        )
        with pytest.raises(errors.UsageError, match="written: it is a folder"):
            predict.check_prediction(config)

    @pytest.mark.parametrize("name", ["masks.csv", "masks.CSV", "file"])
    def test_masks_do_not_fit_into_a_table(self, here, name):
        files.write_json(here / "run.json", {"status": "finished"})
        files.write_text(here / "run.flags", "--data=x\n--task=segmentation\n")
        files.write_text(here / "file", "")
        config = command_configs.PredictConfig(
            workdir=str(here), data="x", output=str(here / name)
        )
        with pytest.raises(errors.UsageError, match="must be a folder"):
            predict.check_prediction(config)
