"""Whole runs on several replicas, against the same run on one."""

import json
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
    "--head_start_strength=probe", "--recipe=none",
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


def test_a_run_on_two_devices_is_that_on_one_though_killed_within_an_epoch(
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
    assert "2 x CPU" in done.stdout + done.stderr
    assert "continuing after epoch 1 and step" in done.stderr
    _assert_same_run(tmp_path / "run", alone)


_LONG = ("--cache=off", "--epochs=6", "--patience=6")


def _wait_for(run: pathlib.Path, checkpoint: str, *processes) -> None:
    deadline = time.monotonic() + 400
    while not (run / "checkpoints" / f"{checkpoint}.checkpoint").exists():
        for process in processes:
            assert process.poll() is None, process.wait(timeout=0).stderr
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _start_two(start, folder: pathlib.Path, *flags: str) -> list:
    """Starts two workers of a run."""
    ports = []
    for _ in range(2):
        with socket.create_server(("localhost", 0)) as server:
            ports.append(server.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    command = [
        "-m", "tf_finetune.train", "--strategy=multi_worker", "--workdir=run",
        "--cache_dir=cache", *flags,
    ]  # fmt: skip
    return [
        start(
            command,
            folder,
            environment={
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": cluster,
                        "task": {"type": "worker", "index": index},
                    }
                )
            },
        )
        for index in range(2)
    ]


def _ended(workers: list, timeout: float) -> list[tuple[int, str]]:
    """Returns the exit status of each worker and what it said on stderr."""
    try:
        done = [worker.wait(timeout=timeout) for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.send(signal.SIGKILL)
    return [(each.returncode, each.stderr) for each in done]


@pytest.mark.slow
def test_workers_of_which_one_is_stopped_or_killed_stop_and_go_on(
    pictures, tmp_path, start
):
    flags = (*_FLAGS, f"--data={pictures}", *_LONG)

    def end_second_by(number: int, checkpoint: str) -> list[tuple[int, str]]:
        workers = _start_two(start, tmp_path, *flags)
        _wait_for(tmp_path / "run", checkpoint, *workers)
        workers[1].send(number)
        return _ended(workers, timeout=60)

    ends = end_second_by(signal.SIGTERM, "epoch-00001-step-00000000")
    for status, said in ends:
        assert status == 143, said
        assert "Stopped by SIGTERM" in said
        assert "Traceback" not in said
    assert "Another worker was asked to stop" in ends[0][1]
    ends = end_second_by(signal.SIGKILL, "epoch-00003-step-00000000")
    status, said = ends[0]
    assert status == 1, said
    assert "continuing after epoch" in said
    assert "Another worker of this run has ended" in said
    assert "Traceback" not in said
    ends = _ended(_start_two(start, tmp_path, *flags), _PATIENCE_SECONDS)
    for status, said in ends:
        assert status == 0, said
        assert "continuing after epoch" in said
    command = [
        "-m", "tf_finetune.train", *flags, "--workdir=alone",
        "--cache_dir=cache",
    ]  # fmt: skip
    alone = start(command, tmp_path).wait(_PATIENCE_SECONDS)
    assert alone.returncode == 0, alone.stderr
    _assert_same_run(tmp_path / "run", tmp_path / "alone", epochs=6)


def test_a_wrong_flag_ends_all_workers_with_its_status(tmp_path):
    done = _launched(
        "--data=digits:0-4",
        "--optimizer=adamww", "--workdir=run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Did you mean 'adamw'" in done.stdout
    assert "exit status 2" in done.stderr
