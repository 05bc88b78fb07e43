"""Writing of single-file formats: write, check, then rename."""

import contextlib
import dataclasses
import pathlib
import types
from collections.abc import Iterator, Mapping, Sequence
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class PendingFile:
    """File of an export before it has its final name.

    Attributes:
        path: Its final path.
        temporary: The path that it is written to.
    """

    path: pathlib.Path
    temporary: pathlib.Path

    def publish(self, figures: Mapping[str, Any]) -> None:
        """Records the figures of its parity check, and its `sha256`.

        The file gets its final name at the end of the block of `open_file`.
        """
        # Before the rename: a file under its final name always has its figures.
        # Should this be killed here, with an earlier file still in place, the
        # checksum shows that the figures are not that file's.
        parity_check.write_figures(
            self.path, {**figures, "sha256": files.sha256(self.temporary)}
        )


@contextlib.contextmanager
def open_file(path: pathlib.Path) -> Iterator[PendingFile]:
    """Opens a block that writes, checks and publishes a file.

    If the block raises, nothing is left of the file and an earlier one stays.

    Args:
        path: The file.

    Raises:
        UsageError: The destination cannot be written.
    """
    with (
        versions.lock_folder(
            path.parent, names=(path.name, export_files.PARITY)
        ),
        files.replacing(path) as temporary,
    ):
        yield PendingFile(path=path, temporary=temporary)


def check_exact(
    script: str,
    file: PendingFile,
    job: jobs.ExportJob,
    *,
    allowed: float,
    instead: Sequence[str] = (),
    beside: Mapping[str, np.ndarray] = types.MappingProxyType({}),
) -> Mapping[str, Any]:
    """Checks that predictions are equal in a fresh process.

    Args:
        script: The name of a script in `runtimes/` from `images` to
            `probabilities`.
        file: Written, not yet published.
        job: Has the pictures and the expected predictions.
        allowed: The largest difference of a prediction, in `job.unit`.
        instead: Formats to suggest if it is refused, best first.
        beside: Further inputs of the script.

    Returns:
        The figures for `parity.json`.

    Raises:
        Refused: The predictions differ, or the file does not load.
    """
    got = predict_in_fresh_process(
        script, file.temporary, job.proof, job, beside=beside, instead=instead
    )
    return parity_check.check_predictions(
        file.path.name,
        {FRESH_PROCESS: got},
        job,
        allowed=allowed,
        instead=instead,
    )


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
