"""Predictions of held-out examples, kept to check exports for parity."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.data import examples
from tf_finetune.exports import job as jobs
from tf_finetune.runs import moved_pictures
from tf_finetune.tasks import task as task_contract
from tf_finetune.workdir import array_files, json_schema, workdir_files

if TYPE_CHECKING:
    from tf_finetune.inputs import input_protocol, input_rows


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


def choose_indices(data: examples.ImageData, count: int) -> list[int]:
    """Chooses pictures of the last split whose predictions check exports.

    Args:
        data: Pictures in splits; the last one is test, if there is a test
            split.
        count: Most pictures to choose.

    Returns:
        Ascending indices into the last split, spread evenly; all of them where
        it has no more than `count`.
    """
    return _spread_indices(len(data.split(data.splits[-1])), count)


def write_record(
    place: workdir_files.Workdir,
    task: task_contract.Task,
    data: examples.ImageData,
    kept: np.ndarray,
    joined: "input_rows.JoinedRows | None" = None,
) -> None:
    """Writes the pictures that exports are checked and calibrated on.

    For the check: pictures of the last split with their predictions and labels;
    for the calibration of quantized exports: training pictures. Paths and
    hashes are stored, no pixels.

    Args:
        place: Workdir of the run.
        task: Its task.
        data: Its pictures.
        kept: [n, …], the evaluation's predictions of the pictures that
            `choose_indices` chooses with `count` n.
        joined: Rows of the last split where rows of a table were predicted;
            None where single pictures were.
    """
    pictures = data.split(data.splits[-1])
    indices = _spread_indices(len(pictures), len(kept))
    proving = [pictures[index] for index in indices]
    entries = [_make_entry(each) for each in proving]
    if joined:
        from tf_finetune.runs import row_record

        for entry, index in zip(entries, indices, strict=True):
            entry |= row_record.describe_row(joined, index)
    _write_files(
        place,
        entries,
        data.split("train"),
        predictions=kept.astype("float32"),
        truth=task.exports.load_truth(data, proving, kept.shape),
    )


def write_unlabeled_record(
    place: workdir_files.Workdir,
    pictures: Sequence[examples.Picture],
    predict: Callable[[list[str]], np.ndarray],
) -> None:
    """Writes pictures without labels that exports are checked on.

    Args:
        place: Workdir of the run.
        pictures: In any order; up to 64 are chosen evenly for the check, up to
            256 for the calibration of quantized exports.
        predict: Maps n paths to predictions [n, …].
    """
    kept = [
        pictures[i] for i in _spread_indices(len(pictures), _KEPT_UNLABELED)
    ]
    predictions = predict([each.path for each in kept])
    _write_files(
        place,
        [_make_entry(each) for each in kept],
        pictures,
        predictions=predictions.astype("float32"),
    )


def _write_files(
    place: workdir_files.Workdir,
    entries: Sequence[Mapping[str, Any]],
    calibrating: Sequence[examples.Picture],
    **arrays: np.ndarray,
) -> None:
    """Writes the entries of a record, their arrays and calibration pictures."""
    chosen = _spread_indices(len(calibrating), _KEPT_FOR_CALIBRATION)
    with files.replacing(place.parity_predictions) as temporary:
        np.savez(temporary, **arrays)
    files.write_json(
        place.proof,
        {
            "pictures": entries,
            "calibration": [_make_entry(calibrating[i]) for i in chosen],
        },
    )


def read_record(
    place: workdir_files.Workdir,
    count: int | None = None,
    finder: moved_pictures.PictureFinder | None = None,
    inputs: "Sequence[input_protocol.Input]" = (),
) -> jobs.ParityReference:
    """Reads the held-out examples that exports are compared on.

    Only examples whose picture files are unchanged are used; a warning counts
    the others.

    Args:
        place: Workdir of a run.
        count: Most examples to return, spread evenly; None: all of them.
        finder: Finds the picture files; None: they are at their old paths.
        inputs: Inputs of a run on rows of a table; a row is used if all its
            pictures are unchanged. Empty for single pictures.

    Returns:
        Paths, predictions and labels of the examples, and their rows.

    Raises:
        RunError: No record exists, its files do not belong together, or every
            picture has changed or is missing.
    """
    finder = finder or moved_pictures.PictureFinder(None)
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
        truth=None if truth is None else truth[chosen],
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
    finder: moved_pictures.PictureFinder | None = None,
) -> tuple[str, ...]:
    """Finds the training pictures that quantized exports are calibrated on.

    Args:
        place: Workdir of a run.
        finder: Finds the picture files; None: they are at their old paths.

    Returns:
        Paths of those whose content is unchanged; may be empty.

    Raises:
        RunError: No record exists.
    """
    rows = _load_record(place)["calibration"]
    finder = finder or moved_pictures.PictureFinder(None)
    return tuple(filter(None, _find_paths(rows, finder)))


def _load_record(
    place: workdir_files.Workdir,
) -> Mapping[str, list[Mapping[str, Any]]]:
    try:
        kept = place.content(place.proof, json_schema.Anything(), megabytes=256)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.RunError(
            f"{place.proof} is not there, so an export cannot be checked. Copy "
            "the folder again, or train again."
        ) from error
    json_schema.check_value(kept, _RECORD_KIND, place.proof)
    return kept


def _load_predictions(
    place: workdir_files.Workdir, count: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads predictions and truth of a record; no truth of unlabeled ones."""
    kept = array_files.read_arrays(place.parity_predictions, within=place.path)
    said = kept.get("predictions", np.zeros([0]))
    if len(said) != count or said.ndim < 2 or said.dtype.kind != "f":
        raise _make_mismatch_error(place, f"predictions of {count} pictures")
    truth = kept.get("truth")  # None of pictures without labels.
    fitting = (said.shape, said.shape[:-1])
    if truth is not None and truth.shape not in fitting:
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
    finder: moved_pictures.PictureFinder,
) -> list[str | None]:
    return [finder.find(row["path"], row["sha256"]) for row in rows]
