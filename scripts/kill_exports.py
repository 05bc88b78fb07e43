"""Kills exports at random moments; looks at what a server would have seen.

    python scripts/kill_exports.py --kills=30

A finished run is exported as a SavedModel, as a Keras file and as weights, in
turn, and killed (SIGKILL) at a random moment, again and again into the same
folder until an export comes to its end. At every moment what bears its final
name has to be whole, and what an export came to has to be, byte by byte, what
one came to that nobody disturbed.

What is measured anew by every export (a server's batch size, and requests of
that size to warm up with) may differ: it differs between two undisturbed ones
too, and has to be there.
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

import kill_campaign

from tf_finetune import files, use, workflow
from tf_finetune.config import options, train
from tf_finetune.config import use as use_options

# Of an undisturbed export: some come to their end, most do not.
_LATEST = 1.4
_MEASURED = ("batching_parameters.txt", "tf_serving_warmup_requests")


@dataclasses.dataclass
class Count:
    """What was seen.

    Attributes:
        kills: Exports that were ended, by format and by what lay there then.
        exports: That came to their end after kills.
        half: What bore its final name and was not whole.
        mismatches: Files of finished exports that differ from undisturbed.
        failures: Exports that ended by themselves, but badly.
    """

    kills: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    exports: int = 0
    half: list[str] = dataclasses.field(default_factory=list)
    mismatches: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)


def main() -> None:
    """Runs the campaign; prints and writes what was seen so far."""
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
        for count in _campaign(
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


def _campaign(
    scratch: pathlib.Path, formats: Sequence[str], *, kills: int, seed: int
) -> Iterator[Count]:
    """Yields what was seen after every export that came to its end."""
    run = _finished_run(scratch)
    whole = {each: _undisturbed(run, scratch, each) for each in formats}
    moments, count, number = random.Random(seed), Count(), 0
    while count.kills.total() < kills:
        name = formats[number % len(formats)]
        place = scratch / f"exports-{number}"
        expected, seconds = whole[name]
        while True:
            child = _export(run, place, name)
            limit = moments.uniform(0, _LATEST * seconds)
            status = _watched(child, limit, place, expected, count)
            if status is not None:
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            seen = _seen(place)
            count.kills[f"{name}, {_state(place)}"] += 1
            count.half += _not_whole(seen, expected)
        if status:
            count.failures.append(_log(place))
        else:
            count.exports += 1
            found = _seen(place)
            count.mismatches += _not_whole(found, expected)
            if not found or list(place.glob(".tmp-*")):
                count.mismatches.append(f"leftovers or nothing in {name}")
        shutil.rmtree(place)
        number += 1
        yield count


def _finished_run(scratch: pathlib.Path) -> pathlib.Path:
    pictures, place = scratch / "pictures", scratch / "trained"
    kill_campaign.make_pictures(pictures)
    place.mkdir()
    kill_campaign.preload()
    settings = {"epochs": 1, "cache": "off"}
    config = options.from_keywords(
        train.TrainConfig, kill_campaign.keywords(pictures, place, settings)
    )
    child = kill_campaign.forked(
        lambda: workflow.train_run(config, report=print), place / "log"
    )
    if kill_campaign.wait(child, kill_campaign.LIMIT_SECONDS) != 0:
        sys.exit(f"The run to be exported failed: {_log(place)}")
    return place / "run"


def _undisturbed(
    run: pathlib.Path, scratch: pathlib.Path, name: str
) -> tuple[dict[str, str], float]:
    """Returns hashes by file of an undisturbed export, and its seconds."""
    found = []
    for number in range(2):
        place = scratch / f"undisturbed-{name}-{number}"
        start = time.monotonic()
        child = _export(run, place, name)
        status = kill_campaign.wait(child, kill_campaign.LIMIT_SECONDS)
        seconds = time.monotonic() - start
        if status != 0:
            sys.exit(f"An undisturbed export failed: {_log(place)}")
        (files_of_one,) = _seen(place).values()
        found.append(files_of_one)
    if found[0] != found[1]:
        sys.exit(f"Two undisturbed exports differ: {found}")
    return found[0], seconds


def _export(run: pathlib.Path, place: pathlib.Path, name: str) -> int:
    """Starts an export; returns its process."""
    config = options.from_keywords(
        use_options.ExportConfig,
        {"workdir": str(run), "output": str(place), "format": (name,)},
    )
    return kill_campaign.forked(
        lambda: use.export_run(config, report=print),
        place.with_suffix(".log"),
    )


def _watched(
    child: int,
    seconds: float,
    place: pathlib.Path,
    expected: dict[str, str],
    count: Count,
) -> int | None:
    """Waits as `kill_campaign.wait` does; looks at names as they appear."""
    end, known = time.monotonic() + seconds, set(_seen(place))
    while (left := end - time.monotonic()) > 0:
        status = kill_campaign.wait(child, min(left, 0.02))
        new = {
            key: value
            for key, value in _seen(place, but=known).items()
            if key not in known
        }
        count.half += _not_whole(new, expected)
        known |= set(new)
        if status is not None:
            return status
    return None


def _seen(
    place: pathlib.Path, but: set[str] = frozenset()
) -> dict[str, dict[str, str]]:
    """Returns what bears a final name: files and their hashes."""
    found = {}
    for path in sorted(place.glob("[!.]*")):
        if path.name in but:
            continue
        if path.is_dir():
            found[path.name] = {
                str(each.relative_to(path)): _hash(each)
                for each in sorted(path.rglob("*"))
                if each.is_file()
            }
        elif path.suffix in (".keras", ".h5"):
            found[path.name] = {path.name: _hash(path)}
    return found


def _hash(path: pathlib.Path) -> str:
    if path.name in _MEASURED:
        return "measured"
    return files.sha256(path)


def _not_whole(
    seen: dict[str, dict[str, str]], expected: dict[str, str]
) -> list[str]:
    return [
        f"{name}: {sorted(set(found.items()) ^ set(expected.items()))}"
        for name, found in seen.items()
        if found != expected
    ]


def _state(place: pathlib.Path) -> str:
    """Returns in words what a killed export has left."""
    if list(place.glob(".tmp-*")):
        return "while it was written and proven"
    return "named" if _seen(place) else "before it was written"


def _log(place: pathlib.Path) -> str:
    return place.with_suffix(".log").read_text(errors="replace")[-3000:]


if __name__ == "__main__":
    main()
