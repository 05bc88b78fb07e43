"""Predictions of held-out examples, kept to check exports for parity.

Their pictures are found again where they were, or where they were moved to.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.data import examples
from tf_finetune.exports import job as jobs
from tf_finetune.tasks import task as task_contract
from tf_finetune.workdir import array_files, json_schema, workdir_files

if TYPE_CHECKING:
    from tf_finetune.inputs import input_protocol, input_rows

import collections
import os
import pathlib
from collections.abc import Iterator

# Bytes; a workdir of somebody else may name any file as a picture.
_LARGEST_PICTURE = 1 << 30

# Ranges of activations settle with some hundred pictures. Measured on ants and
# bees: accuracy in int8 with 32 pictures 84.3 %, with 245 85.0 %.
_KEPT_FOR_CALIBRATION = 256
# As many as of labeled pictures.
_KEPT_UNLABELED = 64

_PICTURE_KIND = json_schema.Record(
    needed={
        "path": json_schema.Text(longest=10_000),
        "sha256": json_schema.Text(longest=100),
    },
    possible={
        # Of rows of several inputs, whose first picture the entry names.
        "sha256s": json_schema.Items(json_schema.Text(longest=100)),
        "values": json_schema.Table(json_schema.Items(json_schema.Anything())),
    },
)
_RECORD_KIND = json_schema.Record(
    needed={
        "pictures": json_schema.Items(_PICTURE_KIND),
        "calibration": json_schema.Items(_PICTURE_KIND),
    }
)


class PictureFinder:
    """Finds pictures where they were, or in a folder that they were moved to.

    In the folder a picture is looked for by the end of its old path, the
    longest first, and then by its name alone, anywhere.
    """

    def __init__(self, root: str | None) -> None:
        """Searches nothing yet.

        Args:
            root: The folder; None: pictures are where they were.
        """
        self._root = root and pathlib.Path(root).expanduser()
        self._by_name: dict[str, list[str]] | None = None

    def find(self, path: str, sha256: str) -> str | None:
        """Returns the path of an unchanged picture; None if there is none.

        Args:
            path: Where it was.
            sha256: Of its bytes.
        """
        places = self._list_places(path) if self._root else iter([path])
        return next((each for each in places if _has_hash(each, sha256)), None)

    def _list_places(self, path: str) -> Iterator[str]:
        parts = _split_path(path)
        # The longest end of the old path first: names alone may repeat.
        for start in range(len(parts)):
            yield str(self._root.joinpath(*parts[start:]))
        yield from self._find_by_name(parts[-1]) if parts else ()

    def _find_by_name(self, name: str) -> list[str]:
        if self._by_name is None:
            self._by_name = collections.defaultdict(list)
            for folder, _, names in os.walk(self._root):
                for each in names:
                    self._by_name[each].append(os.path.join(folder, each))
        return sorted(self._by_name.get(name, ()))


def choose_indices(data: examples.ImageData, count: int) -> list[int]:
    """Returns the indices of up to `count` pictures of the last split.

    They are spread evenly over it. It is the test split, if there is one.
    """
    return _spread_indices(len(data.split(data.splits[-1])), count)


def write_record(
    place: workdir_files.Workdir,
    task: task_contract.Task,
    data: examples.ImageData,
    kept: np.ndarray,
    joined: "input_rows.JoinedRows | None" = None,
) -> None:
    """Writes predictions and truth of some pictures of the last split.

    And the training pictures that a quantized export is calibrated on.

    Args:
        place: The run's folder.
        task: Its task.
        data: Its pictures.
        kept: [n, …], the evaluation's predictions of the pictures that
            `choose_indices` names for n.
        joined: The rows of the last split, where rows were predicted; None:
            pictures were.
    """
    pictures = data.split(data.splits[-1])
    indices = _spread_indices(len(pictures), len(kept))
    proving = [pictures[index] for index in indices]
    entries = [_make_entry(each) for each in proving]
    if joined:
        from tf_finetune.runs import row_record

        for entry, index in zip(entries, indices, strict=True):
            entry |= row_record.describe_row(joined, index)
    training = data.split("train")
    calibration = [
        _make_entry(training[index])
        for index in _spread_indices(len(training), _KEPT_FOR_CALIBRATION)
    ]
    with files.replacing(place.parity_predictions) as temporary:
        np.savez(
            temporary,
            predictions=kept.astype("float32"),
            truth=task.exports.load_truth(data, proving, kept.shape),
        )
    files.write_json(
        place.proof,
        {
            "pictures": entries,
            "calibration": calibration,
        },
    )


def write_unlabeled_record(
    place: workdir_files.Workdir,
    pictures: Sequence[examples.Picture],
    predict: Callable[[list[str]], np.ndarray],
) -> None:
    """Writes predictions of some pictures without labels.

    Args:
        place: The run's folder.
        pictures: In any order; those spread evenly over them are kept, for the
            calibration of quantized exports too.
        predict: Paths → predictions [n, …].
    """
    kept = [
        pictures[i] for i in _spread_indices(len(pictures), _KEPT_UNLABELED)
    ]
    calibration = _spread_indices(len(pictures), _KEPT_FOR_CALIBRATION)
    predictions = predict([each.path for each in kept])
    with files.replacing(place.parity_predictions) as temporary:
        np.savez(temporary, predictions=predictions.astype("float32"))
    files.write_json(
        place.proof,
        {
            "pictures": [_make_entry(each) for each in kept],
            "calibration": [_make_entry(pictures[i]) for i in calibration],
        },
    )


def read_record(
    place: workdir_files.Workdir,
    count: int | None = None,
    finder: PictureFinder | None = None,
    inputs: "Sequence[input_protocol.Input]" = (),
) -> jobs.ParityReference:
    """Reads up to `count` of the pictures whose content is unchanged.

    Args:
        place: The folder of a run.
        count: None: all of them.
        finder: Says where they are; None: where they were.
        inputs: Of a run on rows; a row counts if all its pictures do.

    Raises:
        RunError: There is none.
    """
    finder = finder or PictureFinder(None)
    # Chosen among unchanged pictures, so that the number asked for is met.
    rows = _load_record(place)["pictures"]
    predictions, truth = _load_predictions(place, len(rows))
    paths, found = _find_paths(rows, finder), []
    if inputs:
        from tf_finetune.runs import row_record

        found = row_record.find_rows(place, rows, finder, inputs)
        paths = [row and row.paths[0] for row in found]
    same = [i for i, path in enumerate(paths) if path]
    _report_changed(place, len(same), len(rows))
    chosen = [
        same[index] for index in _spread_indices(len(same), count or len(same))
    ]
    return jobs.ParityReference(
        paths=tuple(paths[number] for number in chosen),
        predictions=predictions[chosen],
        truth=truth[chosen],
        rows=tuple(found[number] for number in chosen) if inputs else (),
    )


def _report_changed(place: workdir_files.Workdir, same: int, of: int) -> None:
    """Warns if pictures have changed; raises `RunError` if all of them have."""
    if same < of:
        logging.warning(
            "%d of the %d pictures that exports are checked on have changed or "
            "are missing",
            of - same,
            of,
        )
    if not same:
        raise errors.RunError(
            f"All of the held-out pictures listed in {place.proof} have "
            "changed or are missing, so an export cannot be checked. If they "
            "were moved, name their folder with --image_root; otherwise "
            "restore them, or train again."
        )


def find_calibration_paths(
    place: workdir_files.Workdir,
    finder: PictureFinder | None = None,
) -> tuple[str, ...]:
    """Returns the calibration pictures whose content is unchanged.

    Args:
        place: The folder of a run.
        finder: Says where they are; None: where they were.
    """
    rows = _load_record(place)["calibration"]
    finder = finder or PictureFinder(None)
    return tuple(filter(None, _find_paths(rows, finder)))


def _load_record(
    place: workdir_files.Workdir,
) -> Mapping[str, list[Mapping[str, Any]]]:
    try:
        return place.content(place.proof, _RECORD_KIND, megabytes=256)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.RunError(
            f"{place.proof} is not there, so an export cannot be checked. Copy "
            "the folder again, or train again."
        ) from error


def _load_predictions(
    place: workdir_files.Workdir, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Reads predictions and truth of all `count` examples of a record."""
    kept = array_files.read_arrays(place.parity_predictions, within=place.path)
    said = kept.get("predictions", np.zeros([0]))
    if len(said) != count or said.ndim < 2 or said.dtype.kind != "f":
        raise _make_mismatch_error(place, f"predictions of {count} pictures")
    truth = kept.get("truth", np.zeros([0]))
    if truth.shape not in (said.shape, said.shape[:-1]):
        raise _make_mismatch_error(place, "the truth of every prediction")
    return said, truth


def _make_mismatch_error(
    place: workdir_files.Workdir, missing: str
) -> errors.RunError:
    return errors.RunError(
        f"{place.proof} and {place.parity_predictions.name} do not belong "
        f"together: there must be {missing}. Copy the folder again, or train "
        "again."
    )


def _make_entry(picture: examples.Picture) -> dict[str, Any]:
    return {"path": picture.path, "sha256": picture.sha256}


def _spread_indices(of: int, count: int) -> Sequence[int]:
    return np.linspace(0, of - 1, min(count, of)).astype(int).tolist()


def _find_paths(
    rows: Sequence[Mapping[str, Any]],
    finder: PictureFinder,
) -> list[str | None]:
    return [finder.find(row["path"], row["sha256"]) for row in rows]


def _split_path(path: str) -> tuple[str, ...]:
    """Returns the parts of a path, of Windows too, without root and `..`."""
    is_windows = "\\" in path and "/" not in path
    kind = pathlib.PureWindowsPath if is_windows else pathlib.PurePosixPath
    whole = kind(path)
    return tuple(
        each for each in whole.parts if each not in (whole.anchor, "..")
    )


def _has_hash(path: str, sha256: str) -> bool:
    try:
        return files.sha256(path, limit=_LARGEST_PICTURE) == sha256
    except (OSError, ValueError):  # Of names that no file can have.
        return False
