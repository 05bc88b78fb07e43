"""Where an interrupted stage goes on: variables and progress in one file."""

import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from tf_finetune import files


@dataclasses.dataclass(kw_only=True)
class Progress:
    """How far a stage has come.

    Attributes:
        rows: The history of its finished epochs.
        best: The index in `rows` of the best one; None before the first.
    """

    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: int | None = None

    @property
    def epochs_done(self) -> int:
        """The number of finished epochs."""
        return len(self.rows)

    @property
    def epochs_since_best(self) -> int:
        """Finished epochs after the best one."""
        return 0 if self.best is None else self.epochs_done - 1 - self.best


def save(
    path: pathlib.Path,
    variables: Sequence[keras.Variable],
    progress: Progress,
) -> None:
    """Writes variables and progress to one `.npz`, atomically.

    Args:
        path: The file; an older one is replaced.
        variables: Weights, optimizer state, states of random generators.
        progress: What goes with them.
    """
    arrays = {
        f"{index:05d}": np.asarray(variable)
        for index, variable in enumerate(variables)
    }
    note = json.dumps(dataclasses.asdict(progress))
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, progress=np.array(note), **arrays)


def restore(
    path: pathlib.Path, variables: Sequence[keras.Variable]
) -> Progress | None:
    """Puts a saved state back into `variables`.

    Returns:
        The progress saved with it; None where there is no file, or none that
        can be read (which is logged: the stage then starts anew).
    """
    try:
        with np.load(path, allow_pickle=False) as saved:
            _check_count(len(saved.files) - 1, len(variables))
            arrays = [saved[f"{i:05d}"] for i in range(len(variables))]
            note: dict[str, Any] = json.loads(str(saved["progress"]))
    except FileNotFoundError:
        return None
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
        logging.warning(
            "checkpoint %s is unusable (%s); starting anew", path, e
        )
        return None
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return Progress(**note)


def _check_count(saved: int, wanted: int) -> None:
    # A run that went on in another precision has other optimizer variables.
    if saved != wanted:
        raise ValueError(f"it holds {saved} variables instead of {wanted}")
