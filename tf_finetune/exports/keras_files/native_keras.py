"""Export of the whole model as `model.keras`, which stock Keras loads."""

import pathlib

from tf_finetune.exports import catalog
from tf_finetune.exports import job as jobs
from tf_finetune.exports.graph import float32_model
from tf_finetune.exports.keras_files import keras_archive
from tf_finetune.exports.parity import parity_check, single_file


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the model in float32 and checks it; returns the file.

    It is checked in a process that has Keras and not this package, and loaded
    there with `safe_mode`: it runs no code of its own. Labels and the task's
    decision are inside: see `keras_archive.save_archive`.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", catalog.SUFFIXES["keras"])
    model = float32_model.ensure_float32(job.model)
    with single_file.open_file(path) as file:
        keras_archive.save_archive(
            model, file.temporary, job.class_names, job.decision
        )
        allowed = parity_check.choose_tolerance(job)
        file.publish(
            single_file.check_exact("keras_file.py", file, job, allowed=allowed)
        )
    return path
