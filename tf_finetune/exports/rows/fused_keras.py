"""Export of a model of whole rows as one file, `fused.keras`."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_finetune.exports import catalog, destination
from tf_finetune.exports.parity import fresh_process, parity_check, single_file
from tf_finetune.exports.rows import rows_job as jobs


def write(job: jobs.RowsJob) -> pathlib.Path:
    """Copies the run's own file and checks the copy; returns it.

    It is checked in a process that has Keras and not this package, and loaded
    there with `safe_mode`: it runs no code of its own.

    Raises:
        RunError: It computes something else; nothing is left of the copy.
        UsageError: The destination cannot be written.
    """
    asked = pathlib.Path(job.destination)
    suffix = catalog.SUFFIXES["keras"]

    def prove(path: pathlib.Path, name: str) -> Mapping[str, Any]:
        batch_size = np.array(job.proof.batch_size)
        answers = fresh_process.run_script(
            fresh_process.RUNTIMES / "keras_file.py",
            path,
            {**job.decode_inputs(), "batch_size": batch_size},
        )
        compared = parity_check.require_close(
            name,
            job.proof.values,
            answers["probabilities"],
            allowed=jobs.TOLERANCE,
            unit=job.unit,
        )
        return {
            "pictures": sum(map(len, job.proof.paths)),
            "rows": len(job.proof.paths),
            "tolerance": jobs.TOLERANCE,
            single_file.FRESH_PROCESS: compared,
        }

    # Copied byte for byte, not saved anew: the run's file is the export.
    return single_file.write_file(
        destination.resolve_file(asked, stem="fused", suffix=suffix),
        lambda path: path.write_bytes(job.source.read_bytes()),
        prove,
    )
