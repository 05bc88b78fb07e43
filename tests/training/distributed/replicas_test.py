"""Tests of tf_finetune/training/distributed/replicas.py and train_step.py.

Processes of their own train (`replica_cases.py`): how many devices there are is
settled once a process. What is part of other cases too is a campaign's.
"""

import fcntl
import functools
import importlib.util
import json
import os
import pathlib
import signal
import socket
from collections.abc import Callable, Iterable

import numpy as np
import pytest

_PROGRAM = pathlib.Path(__file__).with_name("replica_cases.py")
_TOLERANCE = 1e-5
_SPEC = importlib.util.spec_from_file_location("replica_cases", _PROGRAM)
replica_cases = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(replica_cases)


def _started(start, kind: str, names, worker: int = 0, ports=()):
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if ports:
        addresses = [f"localhost:{port}" for port in ports]
        environment["TF_CONFIG"] = json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": worker},
            }
        )
    return start(
        [_PROGRAM, kind, *names], _PROGRAM.parent, environment=environment
    )


def _found(process) -> dict:
    done = process.wait(timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def _free_ports(count: int) -> tuple[int, ...]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = tuple(each.getsockname()[1] for each in sockets)
    for each in sockets:
        each.close()
    return ports


def _once(tmp_path_factory, name: str, compute: Callable[[], dict]) -> dict:
    """Returns what is computed by the first of pytest's processes to ask."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    path = folder / f"replicas_{name}.json"
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_text(json.dumps(compute()))
        return json.loads(path.read_text())


_CHECKED = [
    n for n in replica_cases.CASES if n not in replica_cases.IN_CAMPAIGN
]


class _Trained:
    """What cases come to by name; trained when one of them is asked for."""

    def __init__(self, train: Callable[[bool], dict]) -> None:
        """Trains nothing.

        Args:
            train: Whether it is a campaign → what its cases, or the others,
                come to.
        """
        self._train = functools.cache(train)

    def __getitem__(self, name: str) -> dict:
        case = name.partition("/")[0]
        return self._train(case in replica_cases.IN_CAMPAIGN)[name]


def _names(is_campaign: bool) -> Iterable[str]:
    return replica_cases.IN_CAMPAIGN if is_campaign else _CHECKED


@pytest.fixture(scope="module")
def one(tmp_path_factory, start) -> _Trained:
    """What plain Keras comes to in one process."""

    def train(is_campaign: bool) -> dict:
        return _once(
            tmp_path_factory,
            f"one_{is_campaign}",
            lambda: _found(_started(start, "one", _names(is_campaign))),
        )

    return _Trained(train)


@pytest.fixture(scope="module")
def several(tmp_path_factory, start) -> dict[str, _Trained]:
    """The same on two devices of a process, and in two processes."""

    @functools.cache
    def train(is_campaign: bool) -> dict:
        return _once(
            tmp_path_factory,
            f"several_{is_campaign}",
            lambda: _several(start, _names(is_campaign)),
        )

    def part(name: str) -> _Trained:
        return _Trained(lambda is_campaign: train(is_campaign)[name])

    return {name: part(name) for name in ("mirrored", "worker 0", "worker 1")}


def _several(start, names: Iterable[str]) -> dict:
    mirrored = _found(_started(start, "mirrored", names))
    ports = _free_ports(2)
    workers = [
        _started(start, "multi_worker", names, i, ports) for i in range(2)
    ]
    try:
        found = [_found(worker) for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.send(signal.SIGKILL)
    return {"mirrored": mirrored, "worker 0": found[0], "worker 1": found[1]}


def _but_float16(cases: Iterable[str]) -> list:
    return _marked(name for name in cases if name != "float16")


def _marked(cases: Iterable[str]) -> list:
    return [
        pytest.param(
            name,
            marks=[pytest.mark.campaign] * (name in replica_cases.IN_CAMPAIGN),
        )
        for name in cases
    ]


def _assert_same(found: dict, expected: dict) -> None:
    for ours, theirs in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=_TOLERANCE)
    for ours, theirs in zip(found["rows"], expected["rows"], strict=True):
        assert ours == pytest.approx(theirs, rel=_TOLERANCE, abs=_TOLERANCE)


@pytest.mark.parametrize("case", _but_float16(replica_cases.CASES))
def test_two_devices_come_to_what_one_process_comes_to(case, one, several):
    _assert_same(several["mirrored"][case], one[case])


def test_an_adapter_on_two_devices_is_that_of_one(one, several):
    found, expected = several["mirrored"]["adapter"], one["adapter"]
    for ours, theirs in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_a_head_trained_by_steps_is_the_same_beside_two_devices(one, several):
    _assert_same(several["mirrored"]["head"], one["head"])


@pytest.mark.parametrize("worker", ["worker 0", "worker 1"])
@pytest.mark.parametrize("case", _but_float16(replica_cases.IN_WORKERS))
def test_workers_come_to_what_one_process_comes_to(worker, case, one, several):
    _assert_same(several[worker][case], one[case])


@pytest.mark.parametrize("case", _marked(replica_cases.ON_ONE))
def test_the_trainer_on_one_device_is_plain_keras(case, one):
    _assert_same(one[f"{case}/trainer"], one[case])


@pytest.mark.parametrize("case", _marked(replica_cases.CASES))
def test_a_case_trains_at_all(case, one):
    losses = [row["loss"] for row in one[case]["rows"]]
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]


def test_an_overflow_on_one_replica_skips_the_step_everywhere(one, several):
    # Of 8 steps the 2 with the large example are skipped; each halves the
    # scale.
    for found in (one, *several.values()):
        state = found["overflow"]["state"]
        scalars = [each for each in state if np.ndim(each) == 0]
        assert 6 in scalars
        assert any(each == pytest.approx(2.5e35) for each in scalars)


def test_float16_sums_the_pieces_of_replicas_as_one_process_sums_its_own(
    one, several
):
    # Also gone on with after an epoch, on one device and on two.
    pieces = one["float16/pieces"]
    for found in several.values():
        _assert_same(found["float16"], pieces)
    for ours, theirs in zip(
        pieces["weights"], one["float16"]["weights"], strict=True
    ):
        # 11 bits, in gradients that are summed in another order.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


def test_a_float16_overflow_on_one_replica_skips_the_step_everywhere(
    one, several
):
    # As above; the scale is in the checkpoint, or it would be halved once.
    expected = one["float16"]["state"]
    for found in (
        one["float16/pieces"],
        *(f["float16"] for f in several.values()),
    ):
        scalars = [each for each in found["state"] if np.ndim(each) == 0]
        assert scalars == [each for each in expected if np.ndim(each) == 0]
        assert 6 in scalars
        assert 2**13 in scalars


def test_each_replica_draws_its_own_dropout(several):
    masks = [
        *several["mirrored"]["masks"],
        *several["worker 0"]["masks"],
        *several["worker 1"]["masks"],
    ]
    assert masks[0] != masks[1]
    assert masks[2] != masks[3]
    for mask in masks:
        assert 0 < np.count_nonzero(mask) < 64
