"""Compares test accuracies of this package and of others' recipes.

    bash scripts/benchmark/run.sh accuracy [--seeds=3] [--data=FOLDER] [NAME …]

All start from the same weights, see the same pictures in the same splits, and
get the same wall time: that of this package's slower setting, after which the
others are measured in whole epochs. NAME is hymenoptera or digits, by default
both; each FOLDER with train/, val/ and test/ is compared, too.
Results are printed and written into docs/benchmarks.md.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import measure
import numpy as np
from PIL import Image

_HERE = pathlib.Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_MATERIAL = pathlib.Path(
    os.environ.get("TF_FINETUNE_MATERIAL", _ROOT.parent / "shared/material")
)
_WEIGHTS = {
    "mobilenet@0.25": "weights/mobilenet_0.25_224_notop.h5",
    "mobilenet_v2": "weights/mobilenetv2_1.0_224_notop.h5",
}
_PEERS_PYTHON = os.environ.get("PEERS_PYTHON", sys.executable)
_FIGURES = ("accuracy", "log_loss", "expected_calibration_error", "seconds")
# Seed of the splits; the seeds of the comparison are those of training.
_SPLIT_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One training run, the same for all contenders.

    Attributes:
        data: Folder with train/, val/ and test/, each of class folders.
        backbone: The network by this package's name.
        weights: Its weights in Keras' layout.
        image_size: Side of the model's input, pixels.
        seed: Seed of training.
        seconds: Wall time that others may use; None: no limit.
    """

    data: pathlib.Path
    backbone: str
    weights: pathlib.Path
    image_size: int
    seed: int
    seconds: float | None = None


def main() -> None:
    """Compares on every data set and publishes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(_SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--backbone", default="mobilenet@0.25", choices=_WEIGHTS
    )
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--data", type=pathlib.Path, action="append")
    given = parser.parse_args()
    if unknown := {*given.names} - {*_SETS}:
        parser.error(f"unknown: {unknown}; known: {', '.join(_SETS)}")
    before = os.getloadavg()
    blocks = []
    with tempfile.TemporaryDirectory() as made:
        folders = [
            make(pathlib.Path(made))
            for name, make in _SETS.items()
            if name in (given.names or _SETS)
        ]
        for folder in [*folders, *(given.data or [])]:
            job = Job(
                data=folder,
                backbone=given.backbone,
                weights=_MATERIAL / _WEIGHTS[given.backbone],
                image_size=given.image_size,
                seed=0,
            )
            found = compare(job, range(given.seeds))
            counts = ", ".join(
                f"{len([*(folder / part).glob('*/*')]):,} {part}"
                for part in ("train", "val", "test")
            )
            blocks.append(
                f"{folder.name} ({counts}), {given.backbone} at "
                f"{given.image_size} px:\n\n{format_table(found)}"
            )
    blocks.append(
        f"Seeds: {given.seeds}. {measure.describe_conditions(before)}"
    )
    text = "\n\n".join(blocks)
    print(text, flush=True)
    page = _ROOT / "docs" / "benchmarks.md"
    page.write_text(
        measure.replace_block(page.read_text("utf-8"), "accuracy", text)
    )


def compare(
    job: Job, seeds: Sequence[int]
) -> dict[str, list[dict[str, float]]]:
    """Trains every contender with every seed.

    Returns:
        By contender, the figures of `_FIGURES` for each seed.
    """
    found = {name: [] for name in [*_OURS, *_PEERS]}
    for seed in seeds:
        job = dataclasses.replace(job, seed=seed, seconds=None)
        for name, run in _OURS.items():
            found[name].append(_report(name, run(job)))
        seconds = max(found[name][-1]["seconds"] for name in _OURS)
        limited = dataclasses.replace(job, seconds=seconds)
        for name, run in _PEERS.items():
            found[name].append(_report(name, run(limited)))
    return found


def format_table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Formats the mean of each figure over the seeds, and its range."""
    lines = [
        "| | accuracy | log loss | ECE | seconds |",
        "|---|---|---|---|---|",
    ]
    for name, rows in found.items():
        cells = []
        for figure in _FIGURES:
            values = [row[figure] for row in rows]
            digits = 0 if figure == "seconds" else 3
            cells.append(
                f"{statistics.mean(values):.{digits}f} "
                f"({min(values):.{digits}f}–{max(values):.{digits}f})"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def compute_figures(
    probabilities: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Computes the figures of test predictions, the same way for all.

    Args:
        probabilities: [pictures, classes].
        labels: [pictures] class indices.
    """
    from tf_finetune.metrics import classification_metrics

    # float32 rows of other programs add up to 1 within 1e-6 only.
    probabilities = probabilities.astype("float64")
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = classification_metrics.compute_metrics(
        labels,
        probabilities,
        class_names=[str(i) for i in range(probabilities.shape[1])],
        seed=0,
    )
    return {name: found[name] for name in _FIGURES if name in found}


def split_folder(
    source: pathlib.Path, to: pathlib.Path, *, fraction: float
) -> None:
    """Copies source/CLASS/ into to/train/ and to/val/, class by class.

    Args:
        source: Folder with one folder per class.
        to: Folder that train/ and val/ are made in.
        fraction: Share of each class that goes to val/.
    """
    for kind in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(kind.glob("*.jp*g")) + sorted(kind.glob("*.png"))
        random.Random(_SPLIT_SEED).shuffle(files)
        held_out = round(fraction * len(files))
        for place, file in enumerate(files):
            part = "val" if place < held_out else "train"
            target = to / part / kind.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target / file.name)


def _make_hymenoptera(made: pathlib.Path) -> pathlib.Path:
    """Makes splits of hymenoptera, whose own validation becomes the test."""
    photos = made / "hymenoptera"
    split_folder(_MATERIAL / "hymenoptera/train", photos, fraction=0.2)
    for kind in sorted((_MATERIAL / "hymenoptera/val").iterdir()):
        target = photos / "test" / kind.name
        target.mkdir(parents=True)
        for file in sorted(kind.glob("*.jp*g")):
            shutil.copy(file, target / file.name)
    return photos


def _make_digits(made: pathlib.Path) -> pathlib.Path:
    """Makes splits of scikit-learn's digits: 45 %, 15 % and 40 %."""
    digits = made / "digits"
    _write_digits(made / "all_digits")
    split_folder(made / "all_digits", made / "halves", fraction=0.4)
    split_folder(made / "halves/train", digits, fraction=0.25)
    (made / "halves/val").rename(digits / "test")
    return digits


def _write_digits(folder: pathlib.Path) -> None:
    """Writes scikit-learn's digits as PNG files, a folder a class."""
    from sklearn import datasets

    digits = datasets.load_digits()
    pairs = zip(digits.images, digits.target, strict=True)
    for number, (image, label) in enumerate(pairs):
        target = folder / f"{label}"
        target.mkdir(parents=True, exist_ok=True)
        pixels = (image / 16 * 255).round().astype("uint8")
        Image.fromarray(pixels).save(target / f"{number:04d}.png")


def _run_ours(*flags: str) -> Callable[[Job], dict[str, float]]:
    def run(job: Job) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            seconds = _time(
                [
                    sys.executable, "-m", "tf_finetune.train",
                    f"--data={job.data}", f"--backbone={job.backbone}",
                    f"--weights={job.weights}", f"--seed={job.seed}",
                    f"--image_size={job.image_size}",
                    f"--workdir={folder}/run", f"--cache_dir={folder}/cache",
                    *flags,
                ]
            )  # fmt: skip
            path = pathlib.Path(folder, "run", "evaluation.json")
            test = json.loads(path.read_text("utf-8"))["test"]
        figures = {name: test[name] for name in _FIGURES if name in test}
        return {**figures, "seconds": seconds}

    return run


def _run_peer(python: str, script: str) -> Callable[[Job], dict[str, float]]:
    def run(job: Job) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            output = pathlib.Path(folder, "predictions.npz")
            used = _time(
                [
                    python, str(_HERE / "peers" / script), str(job.data),
                    job.backbone, str(job.weights), str(output),
                    f"--image_size={job.image_size}", f"--seed={job.seed}",
                    f"--seconds={job.seconds:.0f}",
                ]
            )  # fmt: skip
            with np.load(output) as arrays:
                figures = compute_figures(
                    arrays["probabilities"], arrays["labels"]
                )
                # Without what it spent on measuring the length of an epoch.
                used -= float(arrays["measuring_seconds"])
        return {**figures, "seconds": used}

    return run


def _time(command: Sequence[str]) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - begin


def _report(name: str, figures: dict[str, float]) -> dict[str, float]:
    print(f"  {name}: {figures}", file=sys.stderr, flush=True)
    return figures


_SETS = {"hymenoptera": _make_hymenoptera, "digits": _make_digits}
_OURS = {
    "ours, `--recipe=none`": _run_ours("--recipe=none"),
    "ours, `--recipe=auto`": _run_ours("--recipe=auto"),
}
_PEERS = {
    "Keras' guide": _run_peer(sys.executable, "keras_guide.py"),
    "fastai's `fine_tune`": _run_peer(_PEERS_PYTHON, "fastai_fine_tune.py"),
    "timm-like recipe": _run_peer(_PEERS_PYTHON, "timm_recipe.py"),
}

if __name__ == "__main__":
    main()
