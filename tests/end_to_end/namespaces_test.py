"""Two workers with a network between them: two namespaces, one cable.

Each worker has a network stack of its own, with an address and a port of its
own, as on two machines; the data and the workdir are folders of one disk.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from tf_finetune import files

pytestmark = pytest.mark.campaign

_PORT = 2222
_FLAGS = (
    "--backbone=small_cnn", "--weights=digits", "--image_size=32",
    "--batch_size=8", "--seed=3", "--augmentation=none", "--cache=off",
    "--optimizer=momentum", "--learning_rate=0.05",
    "--head_start_strength=probe", "--recipe=none",
)  # fmt: skip
_LONG = ("--epochs=12", "--patience=12")
_STOPS_WITHIN_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Network:
    """Two namespaces with a cable between them.

    Attributes:
        names: Of the namespaces.
        addresses: Of the one end of the cable in each.
    """

    names: tuple[str, str]
    addresses: tuple[str, str] = ("10.213.7.1", "10.213.7.2")

    def inside(self, number: int, *command: str) -> list[str]:
        """Returns a command that runs in one of the namespaces."""
        return ["ip", "netns", "exec", self.names[number], *command]

    def sent_bytes(self, number: int) -> int:
        """Returns what has left one end of the cable so far."""
        path = f"/sys/class/net/cable{number}/statistics/tx_bytes"
        done = _ip(self.inside(number, "cat", path))
        return int(done.stdout)

    def set_cable(self, state: str) -> None:
        """Plugs the cable in ("up") or pulls it out ("down")."""
        for number in range(2):
            _ip(
                self.inside(
                    number, "ip", "link", "set", f"cable{number}", state
                )
            )


def _ip(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Skips where this system allows no namespaces."""
    if shutil.which("ip") is None:
        pytest.skip("no `ip` here (Debian's package iproute2)")
    made = Network(tuple(f"tff-{os.getpid()}-{end}" for end in "ab"))
    with contextlib.ExitStack() as held:
        try:
            for name in made.names:
                _ip(["ip", "netns", "add", name])
                held.callback(_ip, ["ip", "netns", "del", name])
            _ip(
                ["ip", "link", "add", "cable0", "netns", made.names[0]]
                + ["type", "veth", "peer", "cable1", "netns", made.names[1]]
            )
            for number, address in enumerate(made.addresses):
                place = ("dev", f"cable{number}")
                for rest in (
                    ("link", "set", "lo", "up"),
                    ("address", "add", f"{address}/24", *place),
                    ("link", "set", *place[1:], "up"),
                ):
                    _ip(made.inside(number, "ip", *rest))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield made


@contextlib.contextmanager
def _workers(
    network: Network, folder: pathlib.Path, *flags: str
) -> Iterator[list[subprocess.Popen]]:
    """Starts one worker in each namespace; kills those that are left."""
    cluster = {"worker": [f"{each}:{_PORT}" for each in network.addresses]}
    workers = []
    try:
        for index in range(2):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": cluster, "task": task})
            command = (
                sys.executable, "-m", "tf_finetune.train",
                "--strategy=multi_worker", "--workdir=run",
                "--cache_dir=cache", *_FLAGS, *flags,
            )  # fmt: skip
            workers.append(
                subprocess.Popen(
                    network.inside(index, *command),
                    cwd=folder,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env={**os.environ, "TF_CONFIG": config},
                )
            )
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _ends(
    workers: list[subprocess.Popen], seconds: float
) -> list[tuple[int, str]]:
    """Returns the exit status and the output of each worker."""
    end = time.monotonic() + seconds
    said = [
        worker.communicate(timeout=max(end - time.monotonic(), 0.1))[0]
        for worker in workers
    ]
    return [(w.returncode, text) for w, text in zip(workers, said, strict=True)]


def _wait_for(path: pathlib.Path, workers: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        for worker in workers:
            assert worker.poll() is None, worker.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _weights(run: pathlib.Path) -> list[np.ndarray]:
    return keras.saving.load_model(run / "model.keras").get_weights()


def test_two_namespaces_come_to_what_one_process_comes_to(
    network, hard_pictures, tmp_path
):
    flags = ("--epochs=2", f"--data={hard_pictures}")
    before = network.sent_bytes(1)
    with _workers(network, tmp_path, *flags) as workers:
        for status, said in _ends(workers, 500):
            assert status == 0, said
    sent = network.sent_bytes(1) - before
    alone = tmp_path / "alone"
    subprocess.run(
        [
            sys.executable, "-m", "tf_finetune.train", *_FLAGS, *flags,
            f"--workdir={alone}", "--cache_dir=other",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )  # fmt: skip
    for run in (tmp_path / "run", alone):
        assert files.read_json(run / "run.json")["kept"] == "fine_tune"
    found, expected = _weights(tmp_path / "run"), _weights(alone)
    difference = max(
        float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True)
    )
    print(f"largest difference {difference:.2g}; {sent} bytes sent")
    assert difference <= 1e-5
    assert sent > 100_000, "the gradients went another way"


@pytest.mark.parametrize("what", ["one is killed", "the cable is pulled out"])
def test_both_workers_stop_in_time_and_the_same_command_goes_on(
    what, network, pictures, tmp_path
):
    flags = (*_LONG, f"--data={pictures}")
    checkpoints = tmp_path / "run" / "checkpoints"
    with _workers(network, tmp_path, *flags) as workers:
        _wait_for(checkpoints / "epoch-00001-step-00000000.checkpoint", workers)
        start = time.monotonic()
        if what == "one is killed":
            workers[1].send_signal(signal.SIGKILL)
        else:
            network.set_cable("down")
        try:
            ends = _ends(workers, _STOPS_WITHIN_SECONDS)
        finally:
            network.set_cable("up")
        print(f"{what}: all have stopped after {time.monotonic() - start:.1f}")
    for status, said in ends:
        if status == -signal.SIGKILL:
            continue
        assert status == 1, said
        assert "Another worker of this run has ended" in said
        assert "Traceback" not in said
    if what == "one is killed":
        return  # How it goes on then is shown on one machine.
    with _workers(network, tmp_path, *flags) as workers:
        for status, said in _ends(workers, 500):
            assert status == 0, said
            assert "continuing after epoch" in said
