#!/usr/bin/env python3
"""Starts several workers of one training run on this machine.

    python scripts/launch_local.py --workers=2 -- --data=flowers/ --workdir=run

Arguments after `--` go to `python -m tf_finetune.train` in every worker, with
`--strategy=multi_worker`. Each line of output begins with the number of its
worker. When one fails, the others are stopped and its exit status is returned.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

_GRACE_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    """Runs the workers; returns 0, or the status of the first that failed."""
    options, flags = _parse(arguments)
    ports = _find_free_ports(options.workers)
    command = [
        *(sys.executable, "-m", "tf_finetune.train"),
        *("--strategy=multi_worker", *flags),
    ]
    workers = [
        _start_worker(command, ports, number)
        for number in range(options.workers)
    ]
    readers = [
        threading.Thread(
            target=_forward_output, args=(number, worker), daemon=True
        )
        for number, worker in enumerate(workers)
    ]
    for reader in readers:
        reader.start()
    signal.signal(signal.SIGTERM, _handle_sigterm)
    seconds = _GRACE_SECONDS
    try:
        status = _wait_for_workers(workers)
    except (KeyboardInterrupt, _StopRequested) as stop:
        # The workers write a checkpoint together before they exit.
        status = 143 if isinstance(stop, _StopRequested) else 130
        seconds += _read_grace_seconds(flags)
    finally:
        _end_workers(workers, seconds)
        for reader in readers:
            reader.join(timeout=_GRACE_SECONDS)
    return status


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    arguments = list(arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments[:cut])
    if options.workers < 1:
        parser.error(f"--workers must be at least 1, got {options.workers}.")
    return options, arguments[cut + 1 :]


def _find_free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [
            held.enter_context(socket.create_server(("localhost", 0)))
            for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


def _start_worker(
    command: Sequence[str], ports: Sequence[int], number: int
) -> subprocess.Popen:
    addresses = [f"localhost:{port}" for port in ports]
    cluster = {
        "cluster": {"worker": addresses},
        "task": {"type": "worker", "index": number},
    }
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
    )


def _forward_output(number: int, worker: subprocess.Popen) -> None:
    for line in worker.stdout:
        print(f"[{number}] {line}", end="", flush=True)


def _wait_for_workers(workers: Sequence[subprocess.Popen]) -> int:
    """Waits for all workers, or for the first that fails."""
    while True:
        found = [worker.poll() for worker in workers]
        failed = [(s, number) for number, s in enumerate(found) if s]
        if failed:
            # Negative status (killed by a signal) first: it is the cause, and
            # the others fail since they miss that worker.
            status, number = min(failed)
            print(
                f"Worker {number} {_describe_status(status)}; the others are "
                "stopped. The same command continues from the last checkpoint.",
                file=sys.stderr,
                flush=True,
            )
            return status if status > 0 else 128 - status
        if all(status == 0 for status in found):
            return 0
        time.sleep(0.1)


def _describe_status(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"


def _end_workers(workers: Sequence[subprocess.Popen], seconds: float) -> None:
    running = [worker for worker in workers if worker.poll() is None]
    for worker in running:
        worker.terminate()
    deadline = time.monotonic() + seconds
    for worker in running:
        try:
            worker.wait(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _read_grace_seconds(flags: Sequence[str]) -> float:
    """Returns the `--grace_seconds` of the workers, or their default."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--grace_seconds", type=float, default=30.0)
    return parser.parse_known_args(flags)[0].grace_seconds


class _StopRequested(Exception):
    """SIGTERM was received."""


def _handle_sigterm(number: int, frame: object) -> None:
    raise _StopRequested


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
