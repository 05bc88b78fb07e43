"""Compares fixed augmented views from the cache with augmentation on the fly.

Fine-tunes the same network with --cache=off and with --cache=on and several
--augmentation_views, over several seeds, and prints one row of a Markdown
table for each: validation accuracy and log loss of the fine-tuned model (mean
and range over the seeds), and the seconds of the whole process, median.

    python scripts/benchmark/views.py --data=FOLDER --backbone=NAME \
        --weights=FILE [--views=1,2,4,8] [--seeds=3]
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

_DATA = flags.DEFINE_string("data", None, "Labeled pictures.")
_BACKBONE = flags.DEFINE_string("backbone", None, "The network.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Its weights.")
_TRAINABLE = flags.DEFINE_string("trainable", "top", "Layers that train.")
_EPOCHS = flags.DEFINE_integer("epochs", 10, "Epochs of fine-tuning.")
_AUGMENTATION = flags.DEFINE_string("augmentation", "light", "Its strength.")
_VIEWS = flags.DEFINE_list("views", ["1", "2", "4", "8"], "Numbers of views.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "0, 1 … are used.")
flags.mark_flags_as_required(["data", "backbone", "weights"])


def main(_) -> None:
    """Runs every setting in turn, seed by seed, and prints the table."""
    settings = {"on the fly": ["--cache=off"]}
    for count in _VIEWS.value:
        settings[f"{count} views"] = [
            "--cache=on",
            f"--augmentation_views={count}",
        ]
    found = {name: [] for name in settings}
    for seed in range(_SEEDS.value):
        for name, extra in settings.items():
            found[name].append(_run_setting(seed, extra))
            print(name, seed, *found[name][-1], file=sys.stderr, flush=True)
    print(f"load {os.getloadavg()}, {_BACKBONE.value}, {_AUGMENTATION.value}")
    print("| augmentation | accuracy | log loss | seconds |")
    print("|---|---|---|---|")
    for name, rows in found.items():
        accuracy, loss, seconds = zip(*rows, strict=True)
        print(
            f"| {name} | {_format_spread(accuracy)} | {_format_spread(loss)} | "
            f"{statistics.median(seconds):.0f} |"
        )


def _run_setting(seed: int, extra: list[str]) -> tuple[float, float, float]:
    """Trains once; returns the last validation accuracy, loss and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "tf_finetune.train",
            f"--data={_DATA.value}", f"--backbone={_BACKBONE.value}",
            f"--weights={_WEIGHTS.value}", f"--trainable={_TRAINABLE.value}",
            f"--epochs={_EPOCHS.value}", f"--patience={_EPOCHS.value}",
            f"--augmentation={_AUGMENTATION.value}", f"--seed={seed}",
            f"--workdir={folder}/run", f"--cache_dir={folder}/cache",
            "--recipe=none", *extra,
        ]  # fmt: skip
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        history = pathlib.Path(folder, "run", "history.csv")
        names, *rows = history.read_text("utf-8").splitlines()
        last = dict(zip(names.split(","), rows[-1].split(","), strict=True))
    return float(last["val_accuracy"]), float(last["val_loss"]), seconds


def _format_spread(values: tuple[float, ...]) -> str:
    return (
        f"{statistics.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"
    )


if __name__ == "__main__":
    app.run(main)
