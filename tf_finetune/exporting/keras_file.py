"""The whole model in one file, `model.keras`, which Keras loads anywhere."""

import pathlib
import re

import keras

from tf_finetune import files
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting import parity, precision, staging

_SUFFIX = ".keras"


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the model in float32 and proves it; returns the file.

    The file is loaded with `safe_mode`: it runs no code of its own.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", _SUFFIX)
    with staging.locked(path.parent, names=re.escape(path.name)):
        with files.replacing(path) as temporary:
            precision.in_float32(job.model).save(temporary)
            loaded = keras.saving.load_model(
                temporary, compile=False, safe_mode=True
            )
            predictors = {"loaded model": parity.of_model(loaded, job)}
            figures = parity.check(path.name, predictors, job)
        parity.record(path, figures)
    return path
