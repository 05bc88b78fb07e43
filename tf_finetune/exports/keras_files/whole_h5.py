"""Export of the whole model in one legacy HDF5 file, if it reloads correctly.

Keras still writes such files but does not reload every network from them:
ConvNeXt's layers are not found, and a nested Normalization loses its
statistics. So each file is loaded in a fresh process before it is kept.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from tf_finetune import errors
from tf_finetune.exports import catalog
from tf_finetune.exports import job as jobs
from tf_finetune.exports.graph import float32_model
from tf_finetune.exports.parity import (
    export_refusal,
    parity_check,
    single_file,
)


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model.h5` in float32 and checks it; returns the file.

    Raises:
        RunError: Keras reloads another network from it, or none; nothing is
            left of the file.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", catalog.SUFFIXES["whole_h5"])
    with single_file.open_file(path) as file:
        float32_model.ensure_float32(job.model).save(file.temporary)
        file.publish(_check_reloaded(file, job))
    return path


def _check_reloaded(
    file: single_file.PendingFile, job: jobs.ExportJob
) -> Mapping[str, Any]:
    allowed = parity_check.choose_tolerance(job)
    try:
        return single_file.check_exact(
            "keras_file.py", file, job, allowed=allowed
        )
    except errors.RunError as error:
        # Keras' fault, not this package's: the message must not ask for a bug
        # report, as an ordinary refusal does.
        fault = getattr(error, "fault", str(error))
        raise export_refusal.ExportRefusedError(
            f"{fault} Keras does not reload every network correctly from a "
            "whole-model .h5.",
            instead=("keras", "h5"),
            largest=getattr(error, "largest", None),
        ) from error
