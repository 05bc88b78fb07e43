"""Where an interrupted stage goes on: numbered, checked, always consistent.

A checkpoint names its best epoch, whose weights lie in a file of their own
that is written before it and removed after it. So a stage that is killed
between any two writes has a checkpoint and the best weights that belong to it.
"""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from tf_finetune import errors, escaping, schema
from tf_finetune.training.resuming import state_file

# History, and the sums of the metrics of an epoch under way.
_MOST_BYTES_BESIDE = 64 * 2**20
_ALIEN = (
    "The checkpoints of the workdir are of a run with other data or metrics; "
    "they were changed or damaged. Start it anew with --overwrite."
)
_ROW = schema.Table(schema.Anything())
_COUNT = schema.Number(0, 10**12, is_whole=True)
_PROGRESS = schema.Record(
    {
        "rows": schema.Items(_ROW),
        "best": schema.Optional(_COUNT),
        "step": _COUNT,
        "recoveries": _COUNT,
    }
)


@dataclasses.dataclass(kw_only=True)
class Progress:
    """How far a stage has come.

    Attributes:
        rows: The history of its finished epochs.
        best: The index in `rows` of the best one; None before the first, and
            where none is kept.
        step: Steps done of the epoch under way.
        recoveries: How often a loss that was no number was recovered from.
    """

    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: int | None = None
    step: int = 0
    recoveries: int = 0

    @property
    def epochs_done(self) -> int:
        """The number of finished epochs."""
        return len(self.rows)

    @property
    def epochs_since_best(self) -> int:
        """Finished epochs after the best one."""
        return 0 if self.best is None else self.epochs_done - 1 - self.best


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restored:
    """What a checkpoint gave back, but for the variables.

    Attributes:
        progress: How far the stage had come.
        sums: Of the metrics of the epoch under way; empty between epochs.
    """

    progress: Progress
    sums: list[np.ndarray]

    def require(
        self,
        steps_per_epoch: int,
        rank: Callable[[Mapping[str, float]], Any] | None,
    ) -> None:
        """Raises `RunError` unless a stage can go on from it.

        Args:
            steps_per_epoch: Of the stage.
            rank: What its epochs are compared by.
        """
        progress = self.progress
        try:
            fits = progress.step < max(steps_per_epoch, 1)
            if rank:
                _ = [rank(row) for row in progress.rows]
        except (LookupError, TypeError, ValueError):
            fits = False
        if not fits:
            raise errors.RunError(_ALIEN)


class Checkpoints:
    """The checkpoints of one stage in their folder."""

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        state: Sequence[keras.Variable],
        weights: Sequence[keras.Variable],
        keep: int,
        writes: bool = True,
    ) -> None:
        """Writes nothing yet.

        Args:
            folder: Of the files; need not exist.
            state: Weights, optimizer state, states of random generators.
            weights: Those of them that the stage's result consists of.
            keep: How many checkpoints are kept, at least 1.
            writes: Otherwise another process does; nothing is written or
                removed here.
        """
        self._folder = pathlib.Path(folder)
        self._state = list(state)
        self._weights = list(weights)
        self._keep = keep
        self._writes = writes

    def save(self, progress: Progress, sums: Sequence[np.ndarray]) -> None:
        """Writes a checkpoint, and removes those that are too many.

        Args:
            progress: Names the checkpoint; the best weights that it names
                have been saved.
            sums: Of the metrics of the epoch under way.

        Raises:
            RunError: It cannot be written; those before it are whole.
        """
        if not self._writes:
            return
        name = f"epoch-{progress.epochs_done:05d}-step-{progress.step:08d}"
        state_file.write(
            self._folder / f"{name}.checkpoint",
            {
                "progress": dataclasses.asdict(progress),
                "state": len(self._state),
            },
            [*map(np.asarray, self._state), *sums],
        )
        # As many checkpoints name as many best epochs at most, the last ones.
        for paths in (self._checkpoints(), self._bests()):
            for path in paths[: -self._keep]:
                path.unlink()

    def save_best(self, epoch: int) -> None:
        """Writes the weights of an epoch that is the best so far."""
        state_file.write(
            self._best(epoch), {}, [*map(np.asarray, self._weights)]
        )

    def load_best(self, epoch: int) -> None:
        """Gives the model the weights of an epoch that was the best.

        Raises:
            RunError: They were damaged since they were written.
        """
        path = self._best(epoch)
        try:
            saved = self._weights_in(path)
        except (ValueError, OSError) as error:
            raise errors.RunError(
                f"The weights of the best epoch, {path}, were damaged "
                f"({error}). The same command computes them again."
            ) from error
        _assign(self._weights, saved.arrays)

    def restore(self) -> Restored | None:
        """Puts the variables back to the newest checkpoint that is whole.

        Others are named in a warning and removed: they will be written anew.

        Returns:
            What else it holds; None where there is none.
        """
        for path in reversed(self._checkpoints()):
            try:
                saved = self._read(path, self._state)
                progress = _progress(saved.note.get("progress"))
                self._check(saved, progress)
            except (ValueError, OSError) as error:
                logging.warning(
                    "The checkpoint %s cannot be used (%s) and is removed.",
                    path,
                    escaping.escape(str(error)),
                )
                if self._writes:
                    path.unlink(missing_ok=True)
                continue
            _assign(self._state, saved.arrays[: len(self._state)])
            self._remove_bests_after(progress.best)
            return Restored(
                progress=progress, sums=saved.arrays[len(self._state) :]
            )
        self._remove_bests_after(None)
        return None

    def _check(self, saved: state_file.Content, progress: Progress) -> None:
        """Raises an error if this run cannot go on from a checkpoint."""
        # A run that went on in another precision has other optimizer state.
        own = [tuple(each.shape) for each in self._state]
        theirs = [array.shape for array in saved.arrays[: len(own)]]
        if theirs != own or saved.note.get("state") != len(own):
            raise ValueError("it is of another model, optimizer or precision")
        best = progress.best
        if best is not None and self._best(best).exists():
            self._weights_in(self._best(best))
        elif best is not None:
            raise ValueError(f"{self._best(best)} is not there")

    def _read(
        self, path: pathlib.Path, variables: Sequence[keras.Variable]
    ) -> state_file.Content:
        """Reads a file that holds these variables, and little beside them."""
        # No number of Keras takes more than 8 bytes.
        numbers = sum(math.prod(each.shape) for each in variables)
        limit = 8 * numbers + 1024 * len(variables) + _MOST_BYTES_BESIDE
        return state_file.read(path, limit=limit, within=self._folder)

    def _weights_in(self, path: pathlib.Path) -> state_file.Content:
        saved = self._read(path, self._weights)
        own = [tuple(each.shape) for each in self._weights]
        if [array.shape for array in saved.arrays] != own:
            raise ValueError(f"{path} is of another model")
        return saved

    def _remove_bests_after(self, epoch: int | None) -> None:
        for path in self._bests() if self._writes else ():
            if epoch is None or path > self._best(epoch):
                path.unlink()

    def _best(self, epoch: int) -> pathlib.Path:
        return self._folder / f"best-{epoch:05d}.weights"

    def _checkpoints(self) -> list[pathlib.Path]:
        """Returns the checkpoints, the newest last."""
        return sorted(self._folder.glob("epoch-*.checkpoint"))

    def _bests(self) -> list[pathlib.Path]:
        return sorted(self._folder.glob("best-*.weights"))


def _progress(note: Any) -> Progress:
    """Returns the progress that a checkpoint names, or raises ValueError."""
    if found := _PROGRESS.misfit(note, "progress"):
        raise ValueError(found)
    values = [value for row in note["rows"] for value in row.values()]
    # A loss may be NaN.
    if not all(type(value) in (int, float) for value in values):
        raise ValueError("its history holds something else than numbers")
    progress = Progress(**{name: note[name] for name in _PROGRESS.needed})
    if progress.best is not None and progress.best >= progress.epochs_done:
        raise ValueError("its best epoch is none of those that were done")
    return progress


def assign_sums(
    variables: Sequence[keras.Variable], sums: Sequence[np.ndarray]
) -> None:
    """Gives metrics the sums that a checkpoint holds of them.

    Raises:
        RunError: They are of other metrics.
    """
    if [tuple(v.shape) for v in variables] != [each.shape for each in sums]:
        raise errors.RunError(_ALIEN)
    _assign(variables, sums)


def _assign(
    variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]
) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
