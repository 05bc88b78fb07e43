"""Options of the commands on finished runs; needs no TensorFlow."""

import pytest

from tf_finetune import errors
from tf_finetune.config import command_configs


def test_weights_alone_cannot_be_calibrated():
    with pytest.raises(errors.UsageError, match="holds no temperature"):
        command_configs.ExportConfig(
            workdir="run", format=("saved_model", "h5"), calibrate=True
        )


def test_both_are_off_unless_asked_for():
    config = command_configs.ExportConfig(workdir="run")
    assert not config.calibrate and not config.out_of_distribution
