"""The folder of one run: names of its files, its lock, its life cycle."""

import contextlib
import dataclasses
import fcntl
import itertools
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

from tf_finetune import errors, files
from tf_finetune.config import options, train

# What is drawn of a split is called after it.
_SPLITS = ("train", "validation", "test")
_UNTIED = ("workdir", "overwrite", "plan", "cache_dir", "cache_gb")


@dataclasses.dataclass(frozen=True)
class Workdir:
    """The files of a run, by name.

    Attributes:
        path: The folder; need not exist yet.
    """

    path: pathlib.Path

    @property
    def run_flags(self) -> pathlib.Path:
        """The flagfile that replays the run."""
        return self.path / "run.flags"

    @property
    def run_json(self) -> pathlib.Path:
        """Status, versions, seed, data fingerprint, hardware, checksums."""
        return self.path / "run.json"

    @property
    def labels(self) -> pathlib.Path:
        """The class names, one a line, in the order of the outputs."""
        return self.path / "labels.txt"

    @property
    def data_json(self) -> pathlib.Path:
        """Statistics, splits by content hash, what cleaning dropped."""
        return self.path / "data.json"

    @property
    def plan(self) -> pathlib.Path:
        """The table of what moves in training."""
        return self.path / "plan.txt"

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of what an interrupted run continues from."""
        return self.path / "checkpoints"

    @property
    def history(self) -> pathlib.Path:
        """Loss and metrics of every epoch of every stage."""
        return self.path / "history.csv"

    @property
    def curves(self) -> pathlib.Path:
        """The picture of `history`."""
        return self.path / "history.png"

    @property
    def tensorboard(self) -> pathlib.Path:
        """The folder of TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def model(self) -> pathlib.Path:
        """The whole model, as Keras saves it."""
        return self.path / "model.keras"

    @property
    def fused(self) -> pathlib.Path:
        """The model of whole rows, where a row is more than a picture."""
        return self.path / "fused.keras"

    @property
    def fused_json(self) -> pathlib.Path:
        """What goes into `fused`, and rows that prove its exports."""
        return self.path / "fused.json"

    @property
    def weights(self) -> pathlib.Path:
        """The model's weights alone."""
        return self.path / "model.weights.h5"

    @property
    def evaluation(self) -> pathlib.Path:
        """Every figure of every split, with its yardsticks."""
        return self.path / "evaluation.json"

    @property
    def predictions(self) -> pathlib.Path:
        """What the model says of every validation and test picture."""
        return self.path / "predictions.csv"

    @property
    def proof(self) -> pathlib.Path:
        """What the model says of some held-out pictures, for exports."""
        return self.path / "proof.json"

    @property
    def proven(self) -> pathlib.Path:
        """What the model says of the pictures in `proof`."""
        return self.path / "proof.npz"

    @property
    def export(self) -> pathlib.Path:
        """The folder of exported models."""
        return self.path / "export"

    def facts(self) -> dict[str, Any]:
        """Returns the content of `run_json`; empty where there is none."""
        try:
            return files.read_json(self.run_json)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError as error:
            raise errors.RunError(
                f"{self.run_json} is no JSON ({error}); it was changed or "
                "damaged. Use --overwrite to start this workdir anew."
            ) from error

    @property
    def finished(self) -> bool:
        """Whether the run in it came to its end."""
        return self.facts().get("status") == "finished"

    def require_finished(self) -> None:
        """Raises `UsageError` unless a finished run lies here."""
        if not self.run_json.exists():
            raise errors.UsageError(
                f"No run in --workdir={self.path}: it holds no run.json. "
                "Give the folder that training printed as its results."
            )
        if not self.finished:
            raise errors.UsageError(
                f"The run in --workdir={self.path} is not finished; continue "
                "it with the command that started it."
            )

    def class_names(self) -> tuple[str, ...]:
        """Returns the classes in the order of the model's outputs."""
        return tuple(files.read_json(self.data_json)["class_names"])


def choose(config: train.TrainConfig) -> Workdir:
    """Returns the workdir the config asks for, or the next free one of runs/.

    Without `--workdir` this is runs/DATA-BACKBONE, or the first of
    runs/DATA-BACKBONE-2, -3 … that holds no finished run; an unfinished run
    of the same settings is chosen, so that the same command completes it.
    """
    if config.output.workdir:
        return Workdir(pathlib.Path(config.output.workdir).expanduser())
    data = pathlib.PurePath(config.data.data).stem or config.data.data
    name = re.sub(r"[^\w.@-]+", "-", f"{data}-{config.model.backbone}")
    base = pathlib.Path("runs") / name.strip("-")
    number = 1
    while True:
        path = base if number == 1 else base.with_name(f"{base.name}-{number}")
        candidate = Workdir(path)
        if config.output.overwrite or not path.exists():
            return candidate
        if not candidate.finished and not _changed(candidate, config):
            return candidate
        number += 1


def check_free(workdir: Workdir, config: train.TrainConfig) -> None:
    """Raises `UsageError` if a run of other settings, or a finished one,
    lies in `workdir` and `--overwrite` does not allow to replace it."""
    if config.output.overwrite:
        return
    if workdir.finished:
        raise errors.UsageError(
            f"--workdir={workdir.path} holds a finished run. Choose another "
            "workdir, or replace that run with --overwrite."
        )
    if changed := _changed(workdir, config):
        raise errors.UsageError(
            f"--workdir={workdir.path} holds an unfinished run with other "
            f"settings ({', '.join(changed)}). Repeat its own command to "
            "complete it, or replace it with --overwrite."
        )


@contextlib.contextmanager
def opened(workdir: Workdir, config: train.TrainConfig) -> Iterator[None]:
    """Holds `workdir` for one run: created, locked and fit for `config`.

    Raises:
        UsageError: It holds a finished run, or an unfinished one of other
            settings, and `--overwrite` was not given; or another process
            works in it; or it cannot be written.
    """
    try:
        workdir.path.mkdir(parents=True, exist_ok=True)
        lock = open(workdir.path / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise errors.UsageError(
            f"--workdir={workdir.path} cannot be written: {error.strerror}."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise errors.UsageError(
                f"Another process is working in --workdir={workdir.path}; "
                "wait for it or choose another workdir."
            ) from error
        try:
            check_free(workdir, config)
            if config.output.overwrite:
                clear(workdir)
            _sweep(workdir)
            yield
        finally:
            (workdir.path / ".lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # Not empty, or gone.
                workdir.path.rmdir()


def begin(workdir: Workdir, config: train.TrainConfig, facts: dict) -> None:
    """Writes `run.flags` and marks the run as begun, not finished."""
    _write_flags(workdir, config)
    files.write_json(workdir.run_json, {"status": "begun", **facts})


def finish(
    workdir: Workdir, config: train.TrainConfig, facts: dict[str, Any]
) -> None:
    """Adds what the run found out and chose, and marks it as finished."""
    if not workdir.run_json.exists():
        raise errors.RunError(f"{workdir.run_json} vanished; run it again.")
    _write_flags(workdir, config)
    known = {**workdir.facts(), **facts, "status": "finished"}
    files.write_json(workdir.run_json, known)


def _write_flags(workdir: Workdir, config: train.TrainConfig) -> None:
    tied = options.replace(
        config, workdir=str(workdir.path), overwrite=False, plan=False
    )
    text = (
        "# Replays this run: python -m tf_finetune.train "
        "--flagfile=run.flags --workdir=ANOTHER\n"
    )
    files.write_text(workdir.run_flags, text + options.to_flagfile(tied))


def config_of(workdir: Workdir) -> train.TrainConfig:
    """Returns the config of the run in `workdir`."""
    return options.from_flagfile(train.TrainConfig, str(workdir.run_flags))


def _sweep(workdir: Workdir) -> None:
    """Removes the temporary files of a run that was killed while writing."""
    for folder in (workdir.path, workdir.checkpoints):
        for leftover in folder.glob(".tmp-*"):
            leftover.unlink()


def _changed(workdir: Workdir, config: train.TrainConfig) -> list[str]:
    """Lists the flags in which `config` differs from the run in `workdir`."""
    if not workdir.run_flags.exists():
        return []
    before = options.values_of(config_of(workdir))
    now = options.values_of(config)
    untied = {*_UNTIED, *vars(config.interruptions)}
    return [
        f"--{name}={options.to_text(before[name])}, now "
        f"{options.to_text(now[name])}"
        for name in now
        if before[name] != now[name] and name not in untied
    ]


def clear(workdir: Workdir) -> None:
    """Removes what a run writes, and nothing else, from `workdir`.

    `run.json` goes first: a clearing that is interrupted must not leave the
    mark of a finished run on half of its files.
    """
    plots = [workdir.path.glob(f"*_{split}.png") for split in _SPLITS]
    for path in (
        workdir.run_json, workdir.run_flags, workdir.labels,
        workdir.data_json, workdir.plan, workdir.history, workdir.curves,
        workdir.model, workdir.weights, workdir.evaluation,
        workdir.predictions, workdir.proof, workdir.proven,
        workdir.fused, workdir.fused_json,
        *itertools.chain(*plots), *workdir.path.glob("evaluation.*.json"),
    ):  # fmt: skip
        path.unlink(missing_ok=True)
    for folder in (workdir.checkpoints, workdir.tensorboard, workdir.export):
        if os.path.isdir(folder):
            shutil.rmtree(folder)
