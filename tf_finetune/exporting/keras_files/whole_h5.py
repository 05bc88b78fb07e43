"""Export of the whole model in one legacy HDF5 file, if it reloads correctly.

Keras still writes such files but does not reload every network from them:
ConvNeXt's layers are not found, and a nested Normalization loses its
statistics. So each file is loaded in a fresh process before it is kept.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from tf_finetune import errors
from tf_finetune.exporting import catalog
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.graph import precision
from tf_finetune.exporting.proof import parity, refusal, single_file


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model.h5` in float32 and checks it; returns the file.

    Raises:
        RunError: Keras reloads another network from it, or none; nothing is
            left of the file.
        UsageError: The destination cannot be written.
    """
    proof = single_file.prove_exact(
        "keras_file.py", job, allowed=parity.tolerance(job)
    )

    def prove(path: pathlib.Path, name: str) -> Mapping[str, Any]:
        try:
            return proof(path, name)
        except errors.RunError as error:
            # Keras' fault, not this package's: the message must not ask for a
            # bug report, as an ordinary refusal does.
            fault = getattr(error, "fault", str(error))
            raise refusal.Refused(
                f"{fault} Keras does not reload every network correctly from "
                "a whole-model .h5.",
                instead=("keras", "h5"),
                largest=getattr(error, "largest", None),
            ) from error

    return single_file.write(
        job.file("model", catalog.SUFFIXES["whole_h5"]),
        precision.in_float32(job.model).save,
        prove,
    )
