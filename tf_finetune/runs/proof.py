"""What a run said of some held-out pictures, kept for proving exports."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.data import examples
from tf_finetune.exporting import job as jobs

# Enough for every class of most data, and small as text.
_KEPT = 64


def write(
    path: pathlib.Path,
    pictures: Sequence[examples.Picture],
    probabilities: np.ndarray,
) -> None:
    """Keeps the predictions of pictures spread evenly over a split.

    Args:
        path: The JSON file to write.
        pictures: Of the split the evaluation's last word is on.
        probabilities: [pictures, classes], what the evaluation is based on.
    """
    count = min(_KEPT, len(pictures))
    chosen = np.linspace(0, len(pictures) - 1, count).astype(int)
    rows = [
        {
            "path": pictures[index].path,
            "sha256": pictures[index].sha256,
            "probabilities": [float(each) for each in probabilities[index]],
        }
        for index in chosen
    ]
    files.write_json(path, rows)


def read(path: pathlib.Path, count: int) -> jobs.Proof:
    """Returns up to `count` of the pictures that are still what they were.

    Raises:
        RunError: None is.
    """
    rows = files.read_json(path)
    same = [row for row in rows if _unchanged(row)]
    if len(same) < len(rows):
        logging.warning(
            "%d of %d pictures that prove exports have changed or are gone",
            len(rows) - len(same),
            len(rows),
        )
    if not same:
        raise errors.RunError(
            f"None of the held-out pictures listed in {path} is there "
            "unchanged, so an export cannot be proven. Bring them back, or "
            "train again."
        )
    spread = np.linspace(0, len(same) - 1, min(count, len(same))).astype(int)
    chosen = [same[index] for index in spread]
    return jobs.Proof(
        paths=tuple(row["path"] for row in chosen),
        probabilities=np.array([row["probabilities"] for row in chosen]),
    )


def _unchanged(row: Mapping[str, Any]) -> bool:
    try:
        return files.sha256(row["path"]) == row["sha256"]
    except OSError:
        return False
