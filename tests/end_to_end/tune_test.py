"""A study of real runs: withheld test pictures, replay, killed processes."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tf_finetune.config import options, tune_config
from tf_finetune.tuning import tune
from tf_finetune.workdir import workdir_files

pytest.importorskip("optuna")

_PATIENCE_SECONDS = 240


class _ForkedChild:
    """A forked command in the place of a child process."""

    def __init__(self, fork, log: pathlib.Path) -> None:
        self._fork, self._log = fork, log

    def poll(self) -> int | None:
        status = self._fork.poll()
        if status is not None and not self._log.exists():
            self._log.write_text(self._fork.wait(1).stdout)
        return status

    def terminate(self) -> None:
        self._fork.send(signal.SIGTERM)


@pytest.fixture(scope="module")
def study(hard_pictures, settings, tmp_path_factory, start) -> tune.TunedStudy:
    """The result of a baseline and one further trial."""
    folder = tmp_path_factory.mktemp("study")

    def fork(words, log: pathlib.Path, keep_open) -> _ForkedChild:
        command = ["-m", f"tf_finetune.{words[0]}", *words[1:]]
        return _ForkedChild(start(command, folder, together=True), log)

    keywords = {
        **settings,
        "data": str(hard_pictures),
        # Whether to use it would be measured, a second and more each time.
        "cache": "on",
        "augmentation": "none",
        "study": str(folder / "found"),
        "trials": 2,
        "search": "learning_rate:log:1e-4..1e-2",
    }
    config = options.from_keywords(tune_config.TuneConfig, keywords)
    return tune.tune_run(config, report=lambda text: None, start=fork)


def _splits(path: pathlib.Path) -> dict:
    figures = json.loads(path.read_text())
    return {
        name: {k: v for k, v in each.items() if k != "baselines"}
        for name, each in figures.items()
        if name in ("train", "validation", "test")
    }


def test_trials_see_no_test_picture(study):
    for number in (0, 1):
        place = workdir_files.Workdir(study.folder / f"trial-000{number}")
        assert set(_splits(place.evaluation)) == {"train", "validation"}
        assert set(place.counts()) == {"train", "validation"}
        rows = place.predictions.read_text().splitlines()[1:]
        assert len(rows) == place.counts()["validation"]
    test = study.content["test"]
    assert set(test) == {"0", str(study.winner)}
    again = study.folder / f"trial-000{study.winner}-evaluation.json"
    assert set(_splits(again)) == {"train", "validation", "test"}


def test_best_flags_replay_to_the_same_figures(study, start, tmp_path):
    command = ["-m", "tf_finetune.train", f"--flagfile={study.best_flags}",
               f"--workdir={tmp_path / 'best'}"]  # fmt: skip
    done = start(command, tmp_path).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    replayed = _splits(tmp_path / "best" / "evaluation.json")
    trial = _splits(study.workdir / "evaluation.json")
    for split in ("train", "validation"):
        assert replayed[split] == trial[split], split
    name = f"{study.workdir.name}-evaluation.json"
    found = _splits(study.folder / name)["test"]
    assert replayed["test"]["accuracy"] == found["accuracy"]
    assert replayed["test"]["log_loss"] == pytest.approx(
        found["log_loss"], rel=1e-4
    )


@pytest.mark.campaign
def test_processes_on_one_study_lose_no_trial_when_one_is_killed(tmp_path):
    command = [
        sys.executable, "-m", "tf_finetune.tune", "--flagfile=quickstart",
        "--study=found", "--trials=6", "--epochs=2", "--cache_dir=cache",
        "--search=learning_rate:log:1e-4..1e-2,trainable:top|all",
    ]  # fmt: skip

    def work() -> subprocess.Popen:
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    workers = [work() for _ in range(3)]
    begun = tmp_path / "found" / "trial-0001" / "run.json"
    while not begun.exists():
        time.sleep(0.1)
    workers[0].kill()
    said = [each.communicate()[0] for each in workers]
    assert [each.returncode for each in workers[1:]] == [0, 0], said
    last = work()
    text, _ = last.communicate()
    assert last.returncode == 0, text
    found = json.loads((tmp_path / "found" / "study.json").read_text())
    trials = found["trials"]
    assert [each["number"] for each in trials] == [*range(6)]
    assert {e["outcome"] for e in trials} <= {"finished", "pruned"}
    assert len({json.dumps(each["settings"]) for each in trials}) == 6
    assert found["test"]
