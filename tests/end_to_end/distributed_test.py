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
    "from absl import flags, logging\n"
    "logging.use_absl_handler()\n"
    "logging.set_verbosity(logging.INFO)\n"
    "options.define_flags(train.TrainConfig, flags.FLAGS)\n"
    "flags.FLAGS(sys.argv)\n"
    "from tf_finetune import workflow\n"
    "workflow.train_run(\n"
    "    options.from_flags(train.TrainConfig, flags.FLAGS), report=print)\n"
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


_LONG = ("--cache=off", "--epochs=20", "--patience=20")


def _wait_for(run: pathlib.Path, checkpoint: str) -> None:
    deadline = time.monotonic() + 400
    while not (run / "checkpoints" / f"{checkpoint}.checkpoint").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_a_worker_notices_that_the_other_is_gone_and_both_go_on(
    pictures, tmp_path
):
    ports = []
    for _ in range(2):
        with socket.create_server(("localhost", 0)) as server:
            ports.append(server.getsockname()[1])
    addresses = [f"localhost:{port}" for port in ports]
    workers = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        cluster = {"cluster": {"worker": addresses}, "task": task}
        workers.append(
            subprocess.Popen(
                [
                    sys.executable, "-m", "tf_finetune.train", *_FLAGS,
                    f"--data={pictures}", "--workdir=run",
                    "--cache_dir=cache", "--strategy=multi_worker", *_LONG,
                ],
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
            )
        )  # fmt: skip
    try:
        _wait_for(tmp_path / "run", "epoch-00001-step-00000000")
        workers[1].kill()
        _, err = workers[0].communicate(timeout=60)
    finally:
        for worker in workers:
            worker.kill()
    assert workers[0].returncode == 1, err
    assert "Another worker of this run has ended" in err
    assert "Traceback" not in err
    done = _launched(
        *_FLAGS, f"--data={pictures}",
        "--workdir=run", "--cache_dir=cache", *_LONG, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for number in range(2):
        assert f"[{number}] " in done.stdout
    assert done.stdout.count("continuing after epoch") == 2
    assert len(_last_of_training(tmp_path / "run")) == 20


def test_a_wrong_flag_ends_all_workers_with_its_status(tmp_path):
    done = _launched(
        "--data=digits:0-4",
        "--optimizer=adamww", "--workdir=run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Did you mean 'adamw'" in done.stdout
    assert "exit status 2" in done.stderr
