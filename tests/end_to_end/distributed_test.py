"""Whole runs on several replicas, against the same run on one."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

_ROOT = pathlib.Path(__file__).parents[2]
_LAUNCH = _ROOT / "scripts" / "launch_local.py"
_FLAGS = (
    "--backbone=small_cnn", "--weights=digits", "--image_size=32",
    "--epochs=2", "--batch_size=8", "--seed=3", "--augmentation=none",
    "--learning_rate=0.003",
)  # fmt: skip
# Two logical devices: what a test must settle before TensorFlow starts.
_TWO_CPUS = (
    "import sys, tensorflow as tf\n"
    "tf.config.set_logical_device_configuration(\n"
    "    tf.config.list_physical_devices('CPU')[0],\n"
    "    [tf.config.LogicalDeviceConfiguration()] * 2)\n"
    "import tf_finetune\n"
    "from tf_finetune.config import options, train\n"
    "from absl import flags\n"
    "options.define_flags(train.TrainConfig, flags.FLAGS)\n"
    "flags.FLAGS(sys.argv)\n"
    "from tf_finetune import workflow\n"
    "workflow.train_run(\n"
    "    options.from_flags(train.TrainConfig, flags.FLAGS), report=print)\n"
)


def _call(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=170,
    )


def _weights(run: pathlib.Path) -> list[np.ndarray]:
    return keras.saving.load_model(run / "model.keras").get_weights()


def _last_of_training(run: pathlib.Path) -> list[dict]:
    lines = (run / "history.csv").read_text().splitlines()
    names = lines[0].split(",")
    return [
        dict(zip(names, line.split(","), strict=True)) for line in lines[1:]
    ]


def _assert_same_run(found: pathlib.Path, expected: pathlib.Path) -> None:
    ours, theirs = _last_of_training(found), _last_of_training(expected)
    assert len(ours) == len(theirs) == 2
    for row, other in zip(ours, theirs, strict=True):
        for name in ("loss", "val_loss"):
            assert float(row[name]) == pytest.approx(
                float(other[name]), abs=1e-5
            )
    for a, b in zip(_weights(found), _weights(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def alone(pictures, tmp_path_factory) -> pathlib.Path:
    """The folder of a run on one device."""
    folder = tmp_path_factory.mktemp("alone")
    done = _call(
        "-m", "tf_finetune.train", *_FLAGS, f"--data={pictures}",
        "--workdir=run", "--cache_dir=cache", "--cache=on", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_a_run_on_two_devices_is_that_on_one(alone, pictures, tmp_path):
    done = _call(
        "-c", _TWO_CPUS, *_FLAGS, f"--data={pictures}", "--workdir=run",
        "--cache_dir=cache", "--cache=off", "--strategy=mirrored",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 x CPU" in done.stdout + done.stderr
    _assert_same_run(tmp_path / "run", alone)


def test_a_run_of_two_workers_is_that_of_one(alone, pictures, tmp_path):
    done = _call(
        str(_LAUNCH), "--workers=2", "--", *_FLAGS, f"--data={pictures}",
        "--workdir=run", "--cache_dir=cache", "--cache=on", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[0] Results saved to" in done.stdout
    assert "[1] Results saved to" not in done.stdout
    assert "head: as the chief solved it" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "run"]
    _assert_same_run(tmp_path / "run", alone)


def test_a_wrong_flag_ends_all_workers_with_its_status(tmp_path):
    done = _call(
        str(_LAUNCH), "--workers=2", "--", "--data=digits:0-4",
        "--optimizer=adamww", "--workdir=run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Did you mean 'adamw'" in done.stdout
    assert "exit status 2" in done.stderr
