"""Writing of single-file formats: write, check, then rename."""

import pathlib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import errors, files
from tf_finetune.exports import export_files, versions
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import (
    export_refusal,
    fresh_process,
    parity_check,
)

FRESH_PROCESS = "fresh process"
"""Key in `parity.json` of the figures from another process."""

Save = Callable[[pathlib.Path], None]
ParityCheck = Callable[[pathlib.Path, str], Mapping[str, Any]]


def write_file(
    path: pathlib.Path, save: Save, prove: ParityCheck
) -> pathlib.Path:
    """Writes a file that gets its final name only after its check.

    Args:
        path: The file.
        save: Writes to the path it is given.
        prove: Checks the written path, given its final name for messages;
            returns the figures for `parity.json`, or raises. The file's
            `sha256` is added to them.

    Returns:
        `path`.

    Raises:
        RunError: The check fails; nothing is left of the file.
        UsageError: The destination cannot be written.
    """
    with (
        versions.lock_folder(
            path.parent, names=(path.name, export_files.PARITY)
        ),
        files.replacing(path) as temporary,
    ):
        save(temporary)
        figures = prove(temporary, path.name)
        # Before the rename: a file under its final name always has its figures.
        # Should this be killed here, with an earlier file still in place, the
        # checksum shows that the figures are not that file's.
        parity_check.write_figures(
            path, {**figures, "sha256": files.sha256(temporary)}
        )
    return path


def make_exact_check(
    script: str,
    job: jobs.ExportJob,
    *,
    allowed: float,
    instead: Sequence[str] = (),
    beside: Mapping[str, np.ndarray] = types.MappingProxyType({}),
) -> ParityCheck:
    """Makes a check that predictions are equal in a fresh process.

    Args:
        script: The name of a script in `runtimes/` from `images` to
            `probabilities`.
        job: Has the pictures and the expected predictions.
        allowed: The largest difference of a prediction, in `job.unit`.
        instead: Formats to suggest if it is refused, best first.
        beside: Further inputs of the script.
    """

    def prove(path: pathlib.Path, name: str) -> Mapping[str, Any]:
        got = predict_in_fresh_process(
            script, path, job.proof, job, beside=beside, instead=instead
        )
        return parity_check.check_predictions(
            name, {FRESH_PROCESS: got}, job, allowed=allowed, instead=instead
        )

    return prove


def predict_in_fresh_process(
    script: str,
    path: pathlib.Path,
    proof: jobs.ParityReference,
    job: jobs.ExportJob,
    *,
    beside: Mapping[str, np.ndarray] = types.MappingProxyType({}),
    instead: Sequence[str] = (),
) -> np.ndarray:
    """Computes predictions in a fresh process, [pictures, …, outputs].

    The pictures are decoded here, by the package's one decoder: the runtime
    of such a format takes pixels.

    Raises:
        Refused: Its runtime cannot load or run the file.
    """
    inputs = {
        **parity_check.load_inputs(proof, job),
        "batch_size": np.array(proof.batch_size),
        **beside,
    }
    try:
        given = fresh_process.run_script(
            fresh_process.RUNTIMES / script, path, inputs
        )
    except errors.RunError as error:
        raise export_refusal.ExportRefusedError(
            str(error), instead=instead
        ) from error
    return given["probabilities"]
