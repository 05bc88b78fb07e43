"""Checkpoints of a stage: numbered, checksummed, always consistent.

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

from tf_finetune import errors, terminal_escapes
from tf_finetune.model import assembly
from tf_finetune.training.checkpoints import state_file
from tf_finetune.workdir import json_schema

# Allowance for the history and the running metric sums in a checkpoint.
_MAX_OTHER_BYTES = 64 * 2**20
_FOREIGN_CHECKPOINTS = (
    "The checkpoints in the workdir belong to a run with other data or "
    "metrics, or they were changed or damaged. Start anew with --overwrite."
)
_ROW = json_schema.Table(json_schema.Anything())
_COUNT = json_schema.Number(0, 10**12, is_whole=True)
_PROGRESS = json_schema.Record(
    {
        "rows": json_schema.Items(_ROW),
        "best": json_schema.Optional(_COUNT),
        "step": _COUNT,
        "recoveries": _COUNT,
    }
)


@dataclasses.dataclass(kw_only=True)
class Progress:
    """Progress of a training stage: finished epochs, steps, recoveries.

    Attributes:
        rows: Metrics of each finished epoch.
        best: Index in `rows` of the best epoch; None before the first, and
            where epochs are not ranked.
        step: Steps done of the unfinished epoch; 0 between epochs.
        recoveries: Number of recoveries from a NaN or infinite loss.
    """

    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: int | None = None
    step: int = 0
    recoveries: int = 0

    @property
    def epochs_done(self) -> int:
        """Number of finished epochs."""
        return len(self.rows)

    @property
    def epochs_since_best(self) -> int:
        """Number of finished epochs after the best one; 0 if there is none."""
        return 0 if self.best is None else self.epochs_done - 1 - self.best


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoredState:
    """Content of a restored checkpoint, other than the variables.

    Attributes:
        progress: Finished epochs and steps.
        sums: Running sums of the unfinished epoch's metrics; else empty.
    """

    progress: Progress
    sums: list[np.ndarray]

    def require(
        self,
        steps_per_epoch: int,
        rank: Callable[[Mapping[str, float]], Any] | None,
    ) -> None:
        """Checks that a stage can resume from this checkpoint.

        Args:
            steps_per_epoch: Steps per epoch of the stage.
            rank: Key by which its epochs are compared; None: they are not.

        Raises:
            RunError: Its step or its metrics are those of another run.
        """
        progress = self.progress
        try:
            fits = progress.step < max(steps_per_epoch, 1)
            if rank:
                # Fails where the history lacks the metrics that rank reads.
                _ = [rank(row) for row in progress.rows]
        except (LookupError, TypeError, ValueError):
            fits = False
        if not fits:
            raise errors.RunError(_FOREIGN_CHECKPOINTS)


class CheckpointStore:
    """Checkpoints and best weights of one stage, in one folder.

    Args:
        folder: Folder of the files; need not exist.
        state: Variables to save: weights, optimizer, random generators.
        weights: Those of them that are the stage's result.
        keep: Number of checkpoints that are kept, at least 1.
        writes: Whether this process writes and removes files; False where
            another process does.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        state: Sequence[keras.Variable],
        weights: Sequence[keras.Variable],
        keep: int,
        writes: bool = True,
    ) -> None:
        """Prepares the store; nothing is read or written yet."""
        self._folder = pathlib.Path(folder)
        self._state = list(state)
        self._weights = list(weights)
        self._keep = keep
        self._writes = writes

    def save(self, progress: Progress, sums: Sequence[np.ndarray]) -> None:
        """Writes a checkpoint and removes the oldest beyond `keep`.

        Args:
            progress: Finished epochs and steps; its best weights were saved.
            sums: Running sums of the unfinished epoch's metrics.

        Raises:
            RunError: It cannot be written; earlier ones are intact.
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
        # The last n checkpoints name at most n best epochs, which are the last
        # n ones written.
        for paths in (self._list_checkpoints(), self._list_bests()):
            for path in paths[: -self._keep]:
                path.unlink()

    def save_best(self, epoch: int) -> None:
        """Writes the present weights as those of an epoch, counted from 0."""
        state_file.write(
            self._best_path(epoch), {}, [*map(np.asarray, self._weights)]
        )

    def load_best(self, epoch: int) -> None:
        """Loads the saved weights of an epoch into the model's variables.

        Raises:
            RunError: The file is missing or damaged.
        """
        path = self._best_path(epoch)
        try:
            saved = self._read_weights(path)
        except (ValueError, OSError) as error:
            raise errors.RunError(
                f"The weights of the best epoch, {path}, were damaged "
                f"({error}). The same command computes them again."
            ) from error
        assembly.assign_values(self._weights, saved.arrays)

    def restore(self) -> RestoredState | None:
        """Restores the variables from the newest intact checkpoint.

        Damaged ones are named in a warning and removed: they will be written
        anew.

        Returns:
            Its other contents; None where there is no checkpoint.
        """
        for path in reversed(self._list_checkpoints()):
            try:
                saved = self._read(path, self._state)
                progress = _parse_progress(saved.note.get("progress"))
                self._check(saved, progress)
            except (ValueError, OSError) as error:
                logging.warning(
                    "The checkpoint %s cannot be used (%s) and is removed.",
                    path,
                    terminal_escapes.escape(str(error)),
                )
                if self._writes:
                    path.unlink(missing_ok=True)
                continue
            assembly.assign_values(
                self._state, saved.arrays[: len(self._state)]
            )
            # Best weights of epochs after this checkpoint are stale.
            self._remove_bests_after(progress.best)
            return RestoredState(
                progress=progress, sums=saved.arrays[len(self._state) :]
            )
        self._remove_bests_after(None)
        return None

    def _check(self, saved: state_file.Content, progress: Progress) -> None:
        """Raises ValueError if this run cannot resume from a checkpoint."""
        # Optimizer state differs with precision: loss scaling adds variables.
        own = [tuple(each.shape) for each in self._state]
        theirs = [array.shape for array in saved.arrays[: len(own)]]
        if theirs != own or saved.note.get("state") != len(own):
            raise ValueError(
                "it belongs to another model, optimizer or precision"
            )
        best = progress.best
        if best is not None and self._best_path(best).exists():
            self._read_weights(self._best_path(best))
        elif best is not None:
            raise ValueError(f"{self._best_path(best)} is missing")

    def _read(
        self, path: pathlib.Path, variables: Sequence[keras.Variable]
    ) -> state_file.Content:
        """Reads a file of these variables, bounded in size before reading."""
        # 8 bytes per number at most, 1 KiB for each array's header.
        numbers = sum(math.prod(each.shape) for each in variables)
        limit = 8 * numbers + 1024 * len(variables) + _MAX_OTHER_BYTES
        return state_file.read(path, limit=limit, within=self._folder)

    def _read_weights(self, path: pathlib.Path) -> state_file.Content:
        saved = self._read(path, self._weights)
        own = [tuple(each.shape) for each in self._weights]
        if [array.shape for array in saved.arrays] != own:
            raise ValueError(f"{path} is of another model")
        return saved

    def _remove_bests_after(self, epoch: int | None) -> None:
        for path in self._list_bests() if self._writes else ():
            if epoch is None or path > self._best_path(epoch):
                path.unlink()

    def _best_path(self, epoch: int) -> pathlib.Path:
        return self._folder / f"best-{epoch:05d}.weights"

    def _list_checkpoints(self) -> list[pathlib.Path]:
        """Returns the checkpoints, the newest last."""
        # Names have leading zeros, so their order is that of the steps.
        return sorted(self._folder.glob("epoch-*.checkpoint"))

    def _list_bests(self) -> list[pathlib.Path]:
        return sorted(self._folder.glob("best-*.weights"))


def _parse_progress(note: Any) -> Progress:
    """Parses the progress in a checkpoint's note, or raises ValueError."""
    if found := _PROGRESS.find_fault(note, "progress"):
        raise ValueError(found)
    values = [value for row in note["rows"] for value in row.values()]
    # A loss may be NaN.
    if not all(type(value) in (int, float) for value in values):
        raise ValueError("its history holds values that are not numbers")
    progress = Progress(**{name: note[name] for name in _PROGRESS.needed})
    if progress.best is not None and progress.best >= progress.epochs_done:
        raise ValueError("its best epoch is not among the finished epochs")
    return progress


def restore_sums(
    variables: Sequence[keras.Variable], sums: Sequence[np.ndarray]
) -> None:
    """Assigns the running sums of a checkpoint to metric variables.

    Args:
        variables: Variables of the metrics.
        sums: `RestoredState.sums`, in the same order.

    Raises:
        RunError: The sums belong to other metrics.
    """
    if [tuple(v.shape) for v in variables] != [each.shape for each in sums]:
        raise errors.RunError(_FOREIGN_CHECKPOINTS)
    assembly.assign_values(variables, sums)
