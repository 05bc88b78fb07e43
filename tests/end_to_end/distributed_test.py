"""Whole runs on several replicas, against the same run on one."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from tf_finetune import files

_ROOT = pathlib.Path(__file__).parents[2]
_LAUNCH = _ROOT / "scripts" / "launch_local.py"
_FLAGS = (
    "--backbone=small_cnn", "--weights=digits", "--image_size=32",
    "--epochs=2", "--batch_size=8", "--seed=3", "--augmentation=none",
    "--optimizer=momentum", "--learning_rate=0.05",
    "--head_start_strength=probe",
)  # fmt: skip
# Two logical devices: what a test must settle before TensorFlow starts.
_TWO_CPUS = (
    "import sys, tensorflow as tf\n"
    "tf.config.set_logical_device_configuration(\n"
    "    tf.config.list_physical_devices('CPU')[0],\n"
    "    [tf.config.LogicalDeviceConfiguration()] * 2)\n"
    "import tf_finetune\n"
    "from tf_finetune.config import options, train_config\n"
    "from absl import flags, logging\n"
    "logging.use_absl_handler()\n"
    "logging.set_verbosity(logging.INFO)\n"
    "options.define_flags(train_config.TrainConfig, flags.FLAGS)\n"
    "flags.FLAGS(sys.argv)\n"
    "from tf_finetune import workflow\n"
    "config = options.from_flags(train_config.TrainConfig, flags.FLAGS)\n"
    "workflow.train_run(config, report=print)\n"
)


_PATIENCE_SECONDS = 500


def _launched(*flags: str, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, _LAUNCH, "--workers=2", "--", *flags],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=_PATIENCE_SECONDS,
    )


def _weights(run: pathlib.Path) -> list[np.ndarray]:
    return keras.saving.load_model(run / "model.keras").get_weights()


def _last_of_training(run: pathlib.Path) -> list[dict]:
    lines = (run / "history.csv").read_text().splitlines()
    names = lines[0].split(",")
    return [
        dict(zip(names, line.split(","), strict=True)) for line in lines[1:]
    ]


def _assert_same_run(
    found: pathlib.Path, expected: pathlib.Path, epochs: int = 2
) -> None:
    ours, theirs = _last_of_training(found), _last_of_training(expected)
    assert len(ours) == len(theirs) == epochs
    for row, other in zip(ours, theirs, strict=True):
        for name in ("loss", "val_loss"):
            assert float(row[name]) == pytest.approx(
                float(other[name]), abs=1e-5
            )
    # Where the probe is kept, its weights say nothing of the steps.
    for each in (found, expected):
        assert files.read_json(each / "run.json")["kept"] == "fine_tune"
    for a, b in zip(_weights(found), _weights(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def pictures(hard_pictures) -> pathlib.Path:
    """Those on which fine-tuning, and not the probe, is kept."""
    return hard_pictures


@pytest.fixture(scope="module")
def alone(pictures, tmp_path_factory, start) -> pathlib.Path:
    """The folder of a run on one device."""
    folder = tmp_path_factory.mktemp("alone")
    command = [
        "-m", "tf_finetune.train", *_FLAGS, f"--data={pictures}",
        "--workdir=run", "--cache_dir=cache", "--cache=on",
    ]  # fmt: skip
    done = start(command, folder).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_a_run_on_two_devices_is_that_on_one(alone, pictures, tmp_path, start):
    command = [
        "-c", _TWO_CPUS, *_FLAGS, f"--data={pictures}", "--workdir=run",
        "--cache_dir=cache", "--cache=off", "--strategy=mirrored",
    ]  # fmt: skip
    done = start(command, tmp_path).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    assert "2 x CPU" in done.stdout + done.stderr
    _assert_same_run(tmp_path / "run", alone)


def test_a_run_of_two_workers_is_that_of_one(alone, pictures, tmp_path):
    done = _launched(
        *_FLAGS, f"--data={pictures}",
        "--workdir=run", "--cache_dir=cache", "--cache=on", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[0] Results saved to" in done.stdout
    assert "[1] Results saved to" not in done.stdout
    assert "head: as the chief solved it" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "run"]
    _assert_same_run(tmp_path / "run", alone)


def test_a_killed_run_on_two_devices_goes_on_within_an_epoch(
    alone, pictures, tmp_path, start
):
    command = [
        "-c", _TWO_CPUS, *_FLAGS, f"--data={pictures}",
        "--workdir=run", "--cache_dir=cache", "--cache=off",
        "--strategy=mirrored", "--checkpoint_every_steps=1",
        "--keep_checkpoints=9",
    ]  # fmt: skip
    killed = start(command, tmp_path)
    _wait_for(tmp_path / "run", "epoch-00001-step-00000001")
    killed.send(signal.SIGKILL)
    killed.wait(_PATIENCE_SECONDS)
    done = start(command, tmp_path).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    assert "continuing after epoch 1 and step" in done.stderr
    _assert_same_run(tmp_path / "run", alone)


_LONG = ("--cache=off", "--epochs=12", "--patience=12")


def _wait_for(
    run: pathlib.Path, checkpoint: str, *processes: subprocess.Popen
) -> None:
    deadline = time.monotonic() + 400
    while not (run / "checkpoints" / f"{checkpoint}.checkpoint").exists():
        for process in processes:
            assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _ended_by(
    number: int, checkpoint: str, folder: pathlib.Path, *flags: str
) -> list[tuple[int, str]]:
    """Starts two workers; sends the second a signal when a checkpoint is there.

    Returns:
        The exit status of each and what it said.
    """
    ports = []
    for _ in range(2):
        with socket.create_server(("localhost", 0)) as server:
            ports.append(server.getsockname()[1])
    workers = []
    for index in range(2):
        cluster = {
            "cluster": {"worker": [f"localhost:{port}" for port in ports]},
            "task": {"type": "worker", "index": index},
        }
        workers.append(
            subprocess.Popen(
                [
                    sys.executable, "-m", "tf_finetune.train",
                    "--strategy=multi_worker", "--workdir=run",
                    "--cache_dir=cache", *flags,
                ],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
            )
        )  # fmt: skip
    try:
        _wait_for(folder / "run", checkpoint, *workers)
        workers[1].send_signal(number)
        said = [worker.communicate(timeout=60)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [(w.returncode, text) for w, text in zip(workers, said, strict=True)]


@pytest.mark.slow
def test_workers_of_which_one_is_stopped_or_killed_stop_and_go_on(
    pictures, tmp_path, start
):
    flags = (*_FLAGS, f"--data={pictures}", *_LONG)
    ends = _ended_by(
        signal.SIGTERM, "epoch-00001-step-00000000", tmp_path, *flags
    )
    for status, said in ends:
        assert status == 143, said
        assert "Stopped by SIGTERM" in said
        assert "Traceback" not in said
    assert "Another worker was asked to stop" in ends[0][1]
    ends = _ended_by(
        signal.SIGKILL, "epoch-00005-step-00000000", tmp_path, *flags
    )
    status, said = ends[0]
    assert status == 1, said
    assert "continuing after epoch" in said
    assert "Another worker of this run has ended" in said
    assert "Traceback" not in said
    done = _launched(*flags, "--workdir=run", "--cache_dir=cache", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for number in range(2):
        assert f"[{number}] " in done.stdout
    assert done.stdout.count("continuing after epoch") == 2
    command = [
        "-m", "tf_finetune.train", *flags, "--workdir=alone",
        "--cache_dir=cache",
    ]  # fmt: skip
    alone = start(command, tmp_path).wait(_PATIENCE_SECONDS)
    assert alone.returncode == 0, alone.stderr
    _assert_same_run(tmp_path / "run", tmp_path / "alone", epochs=12)


def test_a_wrong_flag_ends_all_workers_with_its_status(tmp_path):
    done = _launched(
        "--data=digits:0-4",
        "--optimizer=adamww", "--workdir=run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Did you mean 'adamw'" in done.stdout
    assert "exit status 2" in done.stderr
