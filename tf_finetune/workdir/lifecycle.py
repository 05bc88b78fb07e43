"""Lifecycle of a workdir: chosen, locked, begun, finished, cleared."""

import contextlib
import fcntl
import itertools
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

from absl import logging

from tf_finetune import errors, files, shutdown
from tf_finetune.config import options, train_config
from tf_finetune.workdir import (
    folder_names,
    recorded_config,
    workdir_files,
)

# Charts of a split are named after it.
_SPLITS = ("train", "validation", "test")
# Options that may differ when an unfinished run is continued.
_CHANGEABLE_OPTIONS = ("workdir", "overwrite", "plan", "cache_dir", "cache_gb")


def choose_workdir(config: train_config.TrainConfig) -> workdir_files.Workdir:
    """Returns the workdir the config asks for, or a free one in runs/.

    Without `--workdir` this is the first of runs/DATA-BACKBONE,
    runs/DATA-BACKBONE-2 … that holds no finished run and in which no process
    works; an unfinished run of the same settings will do, so that the same
    command completes it. Nothing is made on disk.
    """
    if config.output.workdir:
        return workdir_files.Workdir(
            pathlib.Path(config.output.workdir).expanduser()
        )
    folder = folder_names.name_folder(
        config.data.data, after=config.model.backbone
    )
    return _find_free(folder, config)


def number_workdir(
    config: train_config.TrainConfig,
) -> train_config.TrainConfig:
    """Returns a config whose workdir gets a number added if it is taken.

    The same command with the same flagfile then makes two runs. With several
    workers the config is returned as it is.
    """
    if not config.output.workdir or config.training.strategy == "multi_worker":
        return config
    base = pathlib.Path(config.output.workdir).expanduser()
    return options.replace(config, workdir=str(_find_free(base, config).path))


def _find_free(
    base: pathlib.Path, config: train_config.TrainConfig
) -> workdir_files.Workdir:
    """Returns the first of BASE, BASE-2 … that a run can be made in."""
    places = map(workdir_files.Workdir, _list_numbered(base))
    return next(place for place in places if _can_hold(place, config))


def _can_hold(
    place: workdir_files.Workdir, config: train_config.TrainConfig
) -> bool:
    """Tells if a run can be made or continued in a workdir."""
    if config.output.overwrite or not os.path.lexists(place.path):
        return True
    if not place.path.is_dir() or place.is_finished or _is_locked(place):
        return False
    return not _list_changes(place, config)


def _list_numbered(base: pathlib.Path) -> Iterator[pathlib.Path]:
    yield base
    for number in itertools.count(2):
        yield base.with_name(f"{base.name}-{number}")


def _is_locked(place: workdir_files.Workdir) -> bool:
    """Tells if another process works in a workdir."""
    # A shared lock is refused only while somebody holds the exclusive one.
    try:
        with open(place.path / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def check_free(
    place: workdir_files.Workdir, config: train_config.TrainConfig
) -> None:
    """Raises `UsageError` if a run cannot be made or continued in a workdir.

    It cannot be written; or a finished run, or an unfinished one of other
    settings, lies there and `--overwrite` is not given.
    """
    _check_writable(place.path)
    for folder in (place.checkpoints, place.pool.parent, place.tensorboard):
        place.require_inside(folder)
    if config.output.overwrite:
        return
    if place.is_finished:
        raise errors.UsageError(
            f"--workdir={place.path} holds a finished run. Choose another "
            f"workdir, such as {_suggest_workdir(place)}, or replace that run "
            "with --overwrite."
        )
    if changed := _list_changes(place, config):
        raise errors.UsageError(
            f"--workdir={place.path} holds an unfinished run with other "
            f"settings ({', '.join(changed)}). Repeat its own command to "
            "complete it, choose another workdir, such as "
            f"{_suggest_workdir(place)}, or replace it with --overwrite."
        )


def _suggest_workdir(place: workdir_files.Workdir) -> str:
    """Returns the flag of the first workdir of that name that is not there."""
    free = (p for p in _list_numbered(place.path) if not os.path.lexists(p))
    return f"--workdir={next(free)}"


def _check_writable(path: pathlib.Path) -> None:
    """Raises `UsageError` if no folder can be made or written there."""
    if reason := files.find_write_problem(path, "folder"):
        whole = str(path)
        shown = whole if len(whole) < 100 else f"{whole[:80]}…"
        raise errors.UsageError(
            f"--workdir={shown} cannot be written: {reason}. Choose another "
            "one."
        )


def warn_if_inside_data(
    place: workdir_files.Workdir, config: train_config.TrainConfig
) -> None:
    """Logs a warning if the workdir lies in the folder of the pictures."""
    data = pathlib.Path(config.data.data).expanduser()
    path = place.path.resolve()
    if data.is_dir() and path.is_relative_to(data.resolve()):
        logging.warning(
            "The workdir %s lies inside --data=%s. A folder that holds a run "
            "is left out wherever pictures are listed, but other programs "
            "will find its charts among the pictures; --workdir names a "
            "folder elsewhere.",
            place.path,
            config.data.data,
        )


@contextlib.contextmanager
def open_workdir(
    place: workdir_files.Workdir, config: train_config.TrainConfig
) -> Iterator[None]:
    """Makes and locks a workdir for the block, and clears a replaced run.

    Raises:
        UsageError: The workdir is not free (see `check_free`), another
            process works in it, or it cannot be written.
    """
    try:
        place.path.mkdir(parents=True, exist_ok=True)
        lock = files.open_lock(place.path / ".lock")
    except OSError as error:
        raise errors.UsageError(
            f"--workdir={place.path} cannot be written: "
            f"{error.strerror or error}."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise errors.UsageError(
                f"Another process is working in --workdir={place.path}; "
                "wait for it or choose another workdir."
            ) from error
        try:
            # Again, under the lock: another run may have ended in between.
            check_free(place, config)
            if config.output.overwrite:
                clear_workdir(place)
            _remove_temporaries(place)
            begun = (place.run_json, place.recipe_trials)
            with shutdown.mark_resumable(
                lambda: any(path.exists() for path in begun),
                overwrites=config.output.overwrite,
            ):
                yield
        finally:
            (place.path / ".lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # Not empty, or gone.
                place.path.rmdir()


def mark_begun(
    place: workdir_files.Workdir, config: train_config.TrainConfig, facts: dict
) -> None:
    """Writes `run.flags`, then `run.json` of `facts` and status "begun"."""
    _write_flags(place, config)
    files.write_json(place.run_json, {"status": "begun", **facts})


def mark_finished(
    place: workdir_files.Workdir,
    config: train_config.TrainConfig,
    facts: dict[str, Any],
) -> None:
    """Adds `facts` to `run.json`, marks it "finished", rewrites `run.flags`."""
    if not place.run_json.exists():
        raise errors.RunError(f"{place.run_json} vanished; run it again.")
    _write_flags(place, config)
    known = {**place.facts(), **facts, "status": "finished"}
    files.write_json(place.run_json, known)


def _write_flags(
    place: workdir_files.Workdir, config: train_config.TrainConfig
) -> None:
    # Neither --overwrite nor --plan belongs to a replay of the run.
    tied = options.replace(
        config, workdir=str(place.path), overwrite=False, plan=False
    )
    text = (
        "# Replays this run: python -m tf_finetune.train "
        "--flagfile=run.flags --workdir=ANOTHER\n"
    )
    files.write_text(place.run_flags, text + options.to_flagfile(tied))


def _remove_temporaries(place: workdir_files.Workdir) -> None:
    """Removes the temporary files of a run that was killed while writing."""
    for folder in (place.path, place.checkpoints):
        for leftover in folder.glob(".tmp-*"):
            leftover.unlink()


def _list_changes(
    place: workdir_files.Workdir, config: train_config.TrainConfig
) -> list[str]:
    """Lists the flags in which `config` differs from the run in `workdir`."""
    if not place.run_flags.exists():
        return []
    # Compared as values: "1e-3" and "0.001" are the same setting.
    before = options.collect_values(recorded_config.load_recorded_config(place))
    now = options.collect_values(config)
    untied = {*_CHANGEABLE_OPTIONS, *vars(config.interruptions)}
    return [
        f"--{name}={options.to_text(before[name])}, now "
        f"{options.to_text(now[name])}"
        for name in now
        if before[name] != now[name] and name not in untied
    ]


def list_files(place: workdir_files.Workdir) -> list[pathlib.Path]:
    """Lists the files that a run writes into its workdir, there or not.

    Those that commands on a finished run write are not among them, nor are
    folders.
    """
    plots = [place.path.glob(f"*_{split}.png") for split in _SPLITS]
    named = ("adapter.h5", "distillation.json", "recipe.json", "recipe.flags")
    return [
        place.run_json, place.run_flags, place.labels,
        place.data_json, place.plan, place.history, place.curves,
        place.model, place.weights, place.evaluation,
        place.predictions, place.proof, place.parity_predictions,
        place.fusion_model, *place.earlier_fusion,
        *(place.path / name for name in named), *itertools.chain(*plots),
    ]  # fmt: skip


def clear_workdir(place: workdir_files.Workdir) -> None:
    """Removes the files of a run from its workdir; other files stay.

    `run.json` goes first: a clearing that is interrupted must not leave the
    mark of a finished run on half of its files.
    """
    others = [*place.path.glob("evaluation.*.json")]
    for path in (*list_files(place), *others):
        path.unlink(missing_ok=True)
    beside = [each.with_suffix("") for each in others]
    for folder in (place.checkpoints, place.tensorboard, place.export, *beside):
        if os.path.isdir(folder) and not os.path.islink(folder):
            shutil.rmtree(folder)
