"""Times the frozen-backbone flow against Keras' tutorial flow.

Whole processes, alternately (ours, peer, ours, peer …), so that a machine
whose speed drifts is fair to both. Ours runs twice a round: with an empty
cache directory and again with the filled one.

    python scripts/benchmark/head.py --data=FOLDER --weights=FILE [--rounds=3]
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

_DATA = flags.DEFINE_string("data", None, "A folder with train/ and val/.")
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "MobileNet 0.25 without top, Keras .h5."
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Of ours and the peer in turn.")
_PEER_RATE = flags.DEFINE_string("peer_rate", "1e-3", "Its learning rate.")
flags.mark_flags_as_required(["data", "weights"])

_PEER = pathlib.Path(__file__).with_name("keras_tutorial.py")


def main(_) -> None:
    """Runs the rounds and prints medians, ranges and the ratios."""
    print(f"load before: {os.getloadavg()}, {os.cpu_count()} CPUs")
    seconds = {"first run": [], "second run": [], "Keras tutorial": []}
    for _ in range(_ROUNDS.value):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("first run", "second run"):
                seconds[name].append(_ours(folder, name.split()[0]))
            seconds["Keras tutorial"].append(_peer())
    for name, values in seconds.items():
        print(
            f"{name:<15} median {statistics.median(values):6.1f} s  "
            f"({min(values):.1f} to {max(values):.1f})"
        )
    for name in ("first run", "second run"):
        ratios = [
            theirs / ours
            for ours, theirs in zip(
                seconds[name], seconds["Keras tutorial"], strict=True
            )
        ]
        print(f"Keras tutorial / {name}: {statistics.median(ratios):.1f}")
    print(f"load after: {os.getloadavg()}")


def _ours(folder: str, name: str) -> float:
    workdir = f"{folder}/{name}"
    elapsed = _timed(
        "-m", "tf_finetune.train", f"--data={_DATA.value}",
        "--backbone=mobilenet@0.25", f"--weights={_WEIGHTS.value}",
        "--trainable=head", f"--workdir={workdir}",
        f"--cache_dir={folder}/cache",
    )  # fmt: skip
    text = pathlib.Path(workdir, "evaluation.json").read_text("utf-8")
    accuracy = json.loads(text)["validation"]["accuracy"]
    print(f"  ours, {name} run: {elapsed:.1f} s, accuracy {accuracy:.3f}")
    return elapsed


def _peer() -> float:
    elapsed = _timed(
        str(_PEER), _DATA.value, _WEIGHTS.value, _PEER_RATE.value, show=True
    )
    print(f"  Keras tutorial: {elapsed:.1f} s")
    return elapsed


def _timed(*arguments: str, show: bool = False) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    elapsed = time.perf_counter() - start
    if show:
        print(f"  {done.stdout.splitlines()[-1]}")
    return elapsed


if __name__ == "__main__":
    app.run(main)
