"""The whole model in one file, `model.keras`, which Keras loads anywhere."""

import pathlib

from tf_finetune.exporting import catalog, parity, precision, single_file
from tf_finetune.exporting import job as jobs


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the model in float32 and proves it; returns the file.

    It is proven in a process that has Keras and not this package, and loaded
    there with `safe_mode`: it runs no code of its own.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    return single_file.write(
        job.file("model", catalog.SUFFIXES["keras"]),
        precision.in_float32(job.model).save,
        single_file.prove_exact(
            "keras_file.py", job, allowed=parity.tolerance(job)
        ),
    )
