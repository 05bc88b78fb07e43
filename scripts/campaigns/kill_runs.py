"""Kills runs at random moments until they finish; compares their weights.

    python scripts/campaigns/kill_runs.py --kills=200

A short run on generated pictures is killed (SIGKILL) at a random moment,
from the scan of the pictures to the saved model, and started again
with the same settings until it finishes; then the next run begins. Every
finished run is compared, bit by bit, with one that nobody interrupted, and
after every kill every file that a reader could open has to be whole.

To start quickly, a run is forked from a process that has imported TensorFlow
and computed nothing with it. One uninterrupted run is a process of its own, to
show that this makes no difference.
"""

import argparse
import collections
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator

import h5py
import numpy as np
from PIL import Image

from tf_finetune import environment, files, workflow
from tf_finetune.config import options, train_config
from tf_finetune.workdir import workdir_files

_SETTINGS = {
    "backbone": "small_cnn",
    "weights": "digits",
    "image_size": 32,
    "trainable": "all",
    "dropout": 0.2,
    "epochs": 4,
    "batch_size": 8,
    "checkpoint_every_steps": 3,
    "seed": 3,
}
# Training with and without the feature cache, and both kinds of checkpoint: of
# epochs alone, and of steps; several stages.
_VARIANTS = (
    {"cache": "off", "deterministic": True},
    {"cache": "on", "trainable": "top"},
    {"cache": "off", "optimizer": "momentum", "checkpoint_every_steps": 0},
    # Two stages; they take the place of both other options.
    {"stages": "head,top:2,all:2", "trainable": "top", "epochs": 10},
)
_CLASSES, _PICTURES_A_CLASS = ("red", "green", "blue"), 24
LIMIT_SECONDS = 300


@dataclasses.dataclass
class Count:
    """Counts of kills and runs, and the faults that were found.

    Attributes:
        kills: Processes that were killed.
        kills_at: Their number by part of the run.
        runs: Runs that finished.
        mismatches: Results of finished runs that differ from the uninterrupted.
        lost_files: Files that a kill left torn, or that vanished.
        failures: Processes that failed by themselves.
    """

    kills: int = 0
    kills_at: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    runs: int = 0
    mismatches: list[str] = dataclasses.field(default_factory=list)
    lost_files: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)


def main() -> None:
    """Runs the campaign; prints and writes the counts after every run."""
    arguments = _parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        for count in _run_campaign(
            pathlib.Path(scratch), arguments.kills, arguments.seed
        ):
            seconds = time.monotonic() - began
            files.write_json(
                pathlib.Path(arguments.output),
                {**vars(count), "seconds": round(seconds, 1)},
            )
            print(_format_line(count, seconds), flush=True)
    sys.exit(1 if count.mismatches or count.lost_files or count.failures else 0)


def _format_line(count: Count, seconds: float) -> str:
    return (
        f"{count.kills} kills, {count.runs} runs finished, "
        f"{len(count.mismatches)} mismatches, {len(count.lost_files)} lost "
        f"files, {len(count.failures)} failures; {seconds:.0f} s; kills by "
        f"part: {dict(count.kills_at)}"
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="at least")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--output", default="kill_runs.json", help="where figures go"
    )
    return parser.parse_args()


def _run_campaign(
    scratch: pathlib.Path, kills: int, seed: int
) -> Iterator[Count]:
    """Yields the counts after every run that finished."""
    pictures = scratch / "pictures"
    make_pictures(pictures)
    preload()

    @functools.cache
    def run_whole(variant: int) -> tuple[dict[str, str], float]:
        place = scratch / f"whole-{variant}"
        start = time.monotonic()
        child = _fork_run(pictures, place, _VARIANTS[variant])
        _require_success(wait_for(child, LIMIT_SECONDS), place)
        return _hash_results(place), time.monotonic() - start

    count = Count()
    apart = scratch / "apart"
    _run_in_own_process(pictures, apart, _VARIANTS[0])
    if _hash_results(apart) != run_whole(0)[0]:
        count.mismatches.append("a process of its own and a forked one")
    moments = random.Random(seed)
    number = 0
    while count.kills < kills:
        variant = number % len(_VARIANTS)
        place = scratch / f"run-{number}"
        expected, seconds = run_whole(variant)
        _kill_until_finished(
            pictures, place, _VARIANTS[variant], seconds, moments, count
        )
        if workdir_files.Workdir(place / "run").is_finished:
            count.runs += 1
            found = _hash_results(place)
            count.mismatches += [
                f"run {number}: {name}"
                for name in expected
                if found.get(name) != expected[name]
            ]
        shutil.rmtree(place)
        number += 1
        yield count


def _kill_until_finished(
    pictures: pathlib.Path,
    place: pathlib.Path,
    variant: dict,
    seconds: float,
    moments: random.Random,
    count: Count,
) -> None:
    """Kills and restarts a run until it finishes before the next kill."""
    seen: set[str] = set()
    while True:
        child = _fork_run(pictures, place, variant)
        status = wait_for(child, moments.uniform(0, 1.05 * seconds))
        if status is not None:
            if status:
                count.failures.append(_read_log(place))
            return
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        count.kills += 1
        run = place / "run"
        count.kills_at[_find_phase(run)] += 1
        if workdir_files.Workdir(run).is_finished:
            return
        now = {name for name, _ in _check_files(run, count)}
        count.lost_files += [f"{name} vanished" for name in seen - now]
        seen = now


def _find_phase(run: pathlib.Path) -> str:
    """Returns the phase that a run has reached, by the files it has written."""
    place = workdir_files.Workdir(run)
    if place.is_finished:
        return "after the end"
    if place.evaluation.exists():
        return "saving"
    if any(place.checkpoints.rglob("epoch-00004*")):
        return "evaluation"
    if any(place.checkpoints.rglob("epoch-*")):
        return "fine-tuning"
    if place.run_json.exists():
        return "probe and cache"
    return "start and scan"


def _check_files(
    run: pathlib.Path, count: Count
) -> Iterator[tuple[str, pathlib.Path]]:
    """Yields the files that must never vanish; records those that are torn."""
    from tf_finetune.training.checkpoints import state_file

    place = workdir_files.Workdir(run)
    checks = {
        ".json": files.read_json,
        ".checkpoint": state_file.read,
        ".weights": state_file.read,
        ".keras": lambda path: zipfile.ZipFile(path).testzip(),
        ".h5": lambda path: h5py.File(path, "r").close(),
        ".rows": lambda path: path.stat(),
    }
    for path in sorted(run.parent.rglob("*")):
        if path.name.startswith(".tmp-") or path.suffix not in checks:
            continue
        try:
            checks[path.suffix](path)
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            count.lost_files.append(f"{path.name} is torn: {error}")
        if place.checkpoints not in path.parents:
            yield path.name, path
    if any(place.checkpoints.rglob("epoch-*")):
        yield "a checkpoint", place.checkpoints


def _hash_results(place: pathlib.Path) -> dict[str, str]:
    """Returns a hash of each file and weight that equal runs share."""
    run = workdir_files.Workdir(place / "run")
    found = {
        path.name: files.sha256(path)
        for path in (run.history, run.evaluation, run.predictions)
    }

    def note(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item)
            found[name] = hashlib.sha256(values.tobytes()).hexdigest()

    with h5py.File(run.weights, "r") as file:
        file.visititems(note)
    return found


def make_pictures(folder: pathlib.Path) -> None:
    """Writes pictures of three classes into a folder."""
    generator = np.random.default_rng(0)
    for index, name in enumerate(_CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(_PICTURES_A_CLASS):
            pixels = generator.integers(0, 200, [40, 48, 3], dtype="uint8")
            pixels[..., index] += 30
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def build_keywords(
    pictures: pathlib.Path, place: pathlib.Path, variant: dict
) -> dict:
    """Returns the settings of a run."""
    return {
        **_SETTINGS,
        **variant,
        "data": str(pictures),
        "workdir": str(place / "run"),
        "cache_dir": str(place / "cache"),
        "recipe": "none",
    }


def preload() -> None:
    """Imports all that a run needs; computes nothing."""
    # A fork has none of its parent's threads: TensorFlow must not have any yet.
    environment.start_tensorflow()
    import matplotlib.pyplot  # noqa: F401
    import sklearn.linear_model
    import sklearn.model_selection  # noqa: F401

    from tf_finetune.runs import (
        train,  # noqa: F401
    )
    from tf_finetune.tasks import result_table  # noqa: F401


def _fork_run(
    pictures: pathlib.Path, place: pathlib.Path, variant: dict
) -> int:
    """Starts a run in a forked process; returns its process ID."""
    place.mkdir(exist_ok=True)
    config = options.from_keywords(
        train_config.TrainConfig, build_keywords(pictures, place, variant)
    )
    return run_forked(
        lambda: workflow.train_run(config, report=print), place / "log"
    )


def run_forked(work: Callable[[], object], log: pathlib.Path) -> int:
    """Runs a function in a forked process, with its output in a file.

    Returns:
        The process ID; the exit status is 0 if the function returned.
    """
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run_in_own_process(
    pictures: pathlib.Path, place: pathlib.Path, variant: dict
) -> None:
    flags = build_keywords(pictures, place, variant)
    subprocess.run(
        [
            *(sys.executable, "-m", "tf_finetune.train"),
            *(f"--{name}={value}" for name, value in flags.items()),
        ],
        check=True,
        capture_output=True,
    )


def wait_for(child: int, seconds: float) -> int | None:
    """Waits for a process; returns its exit status, None after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def _require_success(status: int | None, place: pathlib.Path) -> None:
    if status != 0:
        sys.exit(
            f"The uninterrupted run failed ({status}):\n{_read_log(place)}"
        )


def _read_log(place: pathlib.Path) -> str:
    text = (place / "log").read_text(encoding="utf-8", errors="replace")
    return json.dumps(text[-3000:])


if __name__ == "__main__":
    main()
