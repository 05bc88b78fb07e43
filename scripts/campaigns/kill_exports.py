"""Kills exports at random moments; checks the files that a server would see.

    python scripts/campaigns/kill_exports.py --kills=30

A finished run is exported as a SavedModel, as a Keras file and as weights, in
turn, and killed (SIGKILL) at a random moment, again and again into the same
folder until an export finishes. At every moment each file or folder under its
final name has to be complete, and a finished export has to equal, byte by byte,
one that was not interrupted.

Files that every export measures anew (a server's batch size, and requests of
that size to warm up with) may differ, as they do between two uninterrupted
exports, but have to exist.
"""

import argparse
import collections
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import kill_runs

from tf_finetune import files, finished_workflow, workflow
from tf_finetune.config import command_configs as use_options
from tf_finetune.config import options, train_config

# Latest kill as a multiple of the usual duration: some exports finish, most do
# not.
_LATEST = 1.4
_MEASURED = ("batching_parameters.txt", "tf_serving_warmup_requests")


@dataclasses.dataclass
class Count:
    """Counts of kills and exports, and the faults that were found.

    Attributes:
        kills: Exports that were killed, by format and state.
        exports: Exports that finished after kills.
        half: Files and folders under their final name that were incomplete.
        mismatches: Files of finished exports that differ from undisturbed ones.
        failures: Exports that failed by themselves.
    """

    kills: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    exports: int = 0
    half: list[str] = dataclasses.field(default_factory=list)
    mismatches: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)


def main() -> None:
    """Runs the campaign; prints and writes the counts after every export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=6, help="at least")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--formats", default="saved_model,keras,h5")
    parser.add_argument(
        "--output", default="kill_exports.json", help="where figures go"
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        for count in _run_campaign(
            pathlib.Path(scratch),
            arguments.formats.split(","),
            kills=arguments.kills,
            seed=arguments.seed,
        ):
            seconds = time.monotonic() - began
            files.write_json(
                pathlib.Path(arguments.output),
                {**vars(count), "seconds": round(seconds, 1)},
            )
            print(
                f"{count.kills.total()} kills, {count.exports} exports "
                f"finished, {len(count.half)} half, {len(count.mismatches)} "
                f"mismatches, {len(count.failures)} failures; {seconds:.0f} "
                f"s; kills: {dict(count.kills)}",
                flush=True,
            )
    sys.exit(1 if count.half or count.mismatches or count.failures else 0)


def _run_campaign(
    scratch: pathlib.Path, formats: Sequence[str], *, kills: int, seed: int
) -> Iterator[Count]:
    """Yields the counts after every export that finished."""
    run = _train_run(scratch)
    whole = {each: _export_undisturbed(run, scratch, each) for each in formats}
    moments, count, number = random.Random(seed), Count(), 0
    while count.kills.total() < kills:
        name = formats[number % len(formats)]
        place = scratch / f"exports-{number}"
        expected, seconds = whole[name]
        while True:
            child = _fork_export(run, place, name)
            limit = moments.uniform(0, _LATEST * seconds)
            status = _watch_export(child, limit, place, expected, count)
            if status is not None:
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            seen = _hash_named(place)
            count.kills[f"{name}, {_describe_state(place)}"] += 1
            count.half += _find_damaged(seen, expected)
        if status:
            count.failures.append(_read_log(place))
        else:
            count.exports += 1
            found = _hash_named(place)
            count.mismatches += _find_damaged(found, expected)
            if not found or list(place.glob(".tmp-*")):
                count.mismatches.append(f"leftovers or nothing in {name}")
        shutil.rmtree(place)
        number += 1
        yield count


def _train_run(scratch: pathlib.Path) -> pathlib.Path:
    pictures, place = scratch / "pictures", scratch / "trained"
    kill_runs.make_pictures(pictures)
    place.mkdir()
    kill_runs.preload()
    settings = {"epochs": 1, "cache": "off"}
    config = options.from_keywords(
        train_config.TrainConfig,
        kill_runs.build_keywords(pictures, place, settings),
    )
    child = kill_runs.run_forked(
        lambda: workflow.train_run(config, report=print), place / "log"
    )
    if kill_runs.wait_for(child, kill_runs.LIMIT_SECONDS) != 0:
        sys.exit(f"The run to be exported failed: {_read_log(place)}")
    return place / "run"


def _export_undisturbed(
    run: pathlib.Path, scratch: pathlib.Path, name: str
) -> tuple[dict[str, str], float]:
    """Exports undisturbed, twice; returns hashes by file, and the seconds."""
    found = []
    for number in range(2):
        place = scratch / f"undisturbed-{name}-{number}"
        start = time.monotonic()
        child = _fork_export(run, place, name)
        status = kill_runs.wait_for(child, kill_runs.LIMIT_SECONDS)
        seconds = time.monotonic() - start
        if status != 0:
            sys.exit(f"An undisturbed export failed: {_read_log(place)}")
        (files_of_one,) = _hash_named(place).values()
        found.append(files_of_one)
    if found[0] != found[1]:
        sys.exit(f"Two undisturbed exports differ: {found}")
    return found[0], seconds


def _fork_export(run: pathlib.Path, place: pathlib.Path, name: str) -> int:
    """Starts an export in a forked process; returns its process ID."""
    config = options.from_keywords(
        use_options.ExportConfig,
        {"workdir": str(run), "output": str(place), "format": (name,)},
    )
    return kill_runs.run_forked(
        lambda: finished_workflow.export_run(config, report=print),
        place.with_suffix(".log"),
    )


def _watch_export(
    child: int,
    seconds: float,
    place: pathlib.Path,
    expected: dict[str, str],
    count: Count,
) -> int | None:
    """Waits for an export; checks files as they get their final names."""
    end, known = time.monotonic() + seconds, set(_hash_named(place))
    while (left := end - time.monotonic()) > 0:
        status = kill_runs.wait_for(child, min(left, 0.02))
        new = {
            key: value
            for key, value in _hash_named(place, but=known).items()
            if key not in known
        }
        count.half += _find_damaged(new, expected)
        known |= set(new)
        if status is not None:
            return status
    return None


def _hash_named(
    place: pathlib.Path, but: set[str] = frozenset()
) -> dict[str, dict[str, str]]:
    """Returns hashes by file, for each file or folder under a final name."""
    found = {}
    for path in sorted(place.glob("[!.]*")):
        if path.name in but:
            continue
        if path.is_dir():
            found[path.name] = {
                str(each.relative_to(path)): _hash_file(each)
                for each in sorted(path.rglob("*"))
                if each.is_file()
            }
        elif path.suffix in (".keras", ".h5"):
            found[path.name] = {path.name: _hash_file(path)}
    return found


def _hash_file(path: pathlib.Path) -> str:
    if path.name in _MEASURED:
        return "measured"
    return files.sha256(path)


def _find_damaged(
    seen: dict[str, dict[str, str]], expected: dict[str, str]
) -> list[str]:
    return [
        f"{name}: {sorted(set(found.items()) ^ set(expected.items()))}"
        for name, found in seen.items()
        if found != expected
    ]


def _describe_state(place: pathlib.Path) -> str:
    """Describes the state in which a killed export has left the folder."""
    if list(place.glob(".tmp-*")):
        return "while it was written and proven"
    return "named" if _hash_named(place) else "before it was written"


def _read_log(place: pathlib.Path) -> str:
    return place.with_suffix(".log").read_text(errors="replace")[-3000:]


if __name__ == "__main__":
    main()
