"""Trials without training: a run's files, written in a moment.

As a program, `python fake_trials.py FOLDER SECONDS`, it works on a study whose
trials take so long.
"""

import math
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_finetune import files
from tf_finetune.config import options, train_config, tune_config
from tf_finetune.training import history
from tf_finetune.tuning import tune
from tf_finetune.workdir import lifecycle, workdir_files

SEARCH = "learning_rate:log:1e-4..1e-1,trainable:top|all"


def make_keywords(folder: pathlib.Path, **changes: Any) -> dict[str, Any]:
    """Returns the flags of a small study in a folder."""
    return {
        "data": "digits:5-9",
        "backbone": "small_cnn",
        "weights": "digits",
        "image_size": 32,
        "trainable": "all",
        "learning_rate": 1e-3,
        "epochs": 4,
        "study": str(folder / "study"),
        "cache_dir": str(folder / "cache"),
        "search": SEARCH,
        "trials": 4,
        **changes,
    }


def score(config: train_config.TrainConfig) -> float:
    """Returns the accuracy that a faked trial reaches: best at 1e-2."""
    distance = abs(math.log10(config.training.learning_rate or 1e-3) + 2)
    return round(0.9 - 0.1 * distance, 4)


def make_figures(accuracy: float) -> dict[str, Any]:
    """Returns a classifier's metrics of one split."""
    return {
        "accuracy": accuracy,
        "accuracy_interval": [accuracy - 0.05, accuracy + 0.05],
        "log_loss": round(1 - accuracy, 4),
    }


class FakeChild:
    """A child process that has ended, or runs until it is stopped."""

    def __init__(self, status: int | None = 0) -> None:
        self.status = status

    def poll(self) -> int | None:
        """Returns its status."""
        return self.status

    def terminate(self) -> None:
        """Ends it as SIGTERM does."""
        self.status = 128 + signal.SIGTERM

    kill = terminate


class FakeStart:
    """Takes the place of `child_processes.start_command`.

    Attributes:
        trained: Configs of the runs it has made, by folder, in order.
        evaluated: Folders whose runs were evaluated with the test split.
        ends: By number of the trial, how it is to end: an exit status, "stays"
            for one that runs after an epoch until it is stopped, or a function
            that is called with the config.
    """

    def __init__(self, **ends: Any) -> None:
        self.trained: dict[str, train_config.TrainConfig] = {}
        self.evaluated: list[str] = []
        self.ends: Mapping[str, Any] = ends

    def __call__(
        self,
        words: Sequence[str],
        log: pathlib.Path,
        keep_open: Sequence[int] = (),
    ) -> FakeChild:
        """Makes a run, or evaluates one."""
        flags = dict(
            word.removeprefix("--").split("=", 1) for word in words[1:]
        )
        place = workdir_files.Workdir(pathlib.Path(flags["workdir"]))
        if words[0] == "evaluate":
            self.evaluated.append(place.path.name)
            found = place.figures()
            files.write_json(
                pathlib.Path(flags["output"]),
                {**found, "test": found["validation"]},
            )
            return FakeChild()
        assert all(os.fstat(each) for each in keep_open) and keep_open
        config = options.from_flagfile(
            train_config.TrainConfig, flags["flagfile"]
        )
        assert config.output.withhold_test
        self.trained[place.path.name] = config
        end = self.ends.get(place.path.name.replace("-", "_"), 0)
        if callable(end):
            end = end(config)
        return self._end(end, config, place, log)

    def _end(
        self,
        end: Any,
        config: train_config.TrainConfig,
        place: workdir_files.Workdir,
        log: pathlib.Path,
    ) -> FakeChild:
        if end == 0:
            write_run(config, place)
            return FakeChild()
        if end == "stays":
            write_epochs(place, [0.01] * 3)
            return FakeChild(None)
        log.write_text("Warning: it is hot\nError: it went wrong.\n")
        return FakeChild(end)


def write_epochs(
    place: workdir_files.Workdir, accuracies: Sequence[float]
) -> None:
    """Writes the history of a run."""
    place.path.mkdir(parents=True, exist_ok=True)
    rows = [{"val_accuracy": each, "val_loss": 1 - each} for each in accuracies]
    history.write(place.history, history.make_rows("fine_tune", rows))


def write_run(
    config: train_config.TrainConfig, place: workdir_files.Workdir
) -> None:
    """Writes the files of a finished run that a study reads."""
    accuracy = score(config)
    write_epochs(place, [accuracy] * config.training.epochs)
    lifecycle.mark_begun(place, config, {})
    files.write_json(place.evaluation, {"validation": make_figures(accuracy)})
    lifecycle.mark_finished(place, config, {})


def run_study(
    start: Callable, report: Callable, **keywords: Any
) -> tune.TunedStudy:
    """Works on a study whose children are faked."""
    config = options.from_keywords(tune_config.TuneConfig, keywords)
    return tune.tune_run(config, report=report, start=start)


def start_worker(
    folder: pathlib.Path, seconds: float, trials: int
) -> subprocess.Popen:
    """Starts a process that works on the study of a folder."""
    return subprocess.Popen(
        [sys.executable, __file__, str(folder), str(seconds), str(trials)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _main(folder: str, seconds: str, trials: str) -> None:
    class Slow(FakeStart):
        def __call__(self, *arguments: Any) -> FakeChild:
            time.sleep(float(seconds))
            return super().__call__(*arguments)

    keywords = make_keywords(pathlib.Path(folder), trials=int(trials))
    found = run_study(Slow(), lambda text: None, **keywords)
    print(f"winner {found.winner}")


if __name__ == "__main__":
    _main(*sys.argv[1:])
