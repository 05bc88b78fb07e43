"""Export of the whole model as `model.keras`, which stock Keras loads."""

import pathlib

from tf_finetune.exporting import catalog
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.graph import precision
from tf_finetune.exporting.keras_files import keras_archive
from tf_finetune.exporting.proof import parity, single_file


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the model in float32 and checks it; returns the file.

    It is checked in a process that has Keras and not this package, and loaded
    there with `safe_mode`: it runs no code of its own. Labels and the task's
    decision are inside: see `keras_archive.save`.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """

    def save(path: pathlib.Path) -> None:
        model = precision.in_float32(job.model)
        keras_archive.save(model, path, job.class_names, job.decision)

    return single_file.write(
        job.file("model", catalog.SUFFIXES["keras"]),
        save,
        single_file.prove_exact(
            "keras_file.py", job, allowed=parity.tolerance(job)
        ),
    )
