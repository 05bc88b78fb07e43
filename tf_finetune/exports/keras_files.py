"""Exports that Keras loads: a `.keras` file, weights, one legacy HDF5 file."""

import pathlib
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.exports import (
    catalog,
    export_files,
    float32_model,
    pending_exports,
)
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import export_refusal, file_checks, parity_check


def write_keras(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the whole model as `model.keras` and checks it.

    The model is stored in float32. The check loads it with `safe_mode` in a
    process that has Keras and not this package. Labels and the values that the
    task chose on validation are in the archive: see
    `export_files.save_keras`.

    Returns:
        Path of the written file.

    Raises:
        RunError: The loaded file predicts something else; it is removed.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", catalog.SUFFIXES["keras"])
    model = float32_model.ensure_float32(job.model)
    with pending_exports.open_file(path) as file:
        export_files.save_keras(
            model, file.temporary, job.class_names, job.decision
        )
        file.record_figures(_check_reloaded(file, job))
    return path


def write_weights(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the weights alone as `model.weights.h5` and checks them.

    Weights reload exactly, whole-model .h5 files do not: see `write_whole_h5`.
    They are stored in float32. The check builds the network from its JSON in a
    process that has Keras and not this package, and loads the weights into it.

    Returns:
        Path of the written file.

    Raises:
        RunError: The loaded file predicts something else; it is removed.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", catalog.SUFFIXES["h5"])
    model = float32_model.ensure_float32(job.model)
    with pending_exports.open_file(path) as file:
        if job.options is None:
            model.save_weights(file.temporary)
        else:
            export_files.save_weights(model, file.temporary, job.options)
        # A file of weights says nothing about the network, so the check needs
        # its JSON beside them; users build the network themselves.
        network = {"network": np.array(model.to_json())}
        file.record_figures(_check_reloaded(file, job, network))
    return path


def write_whole_h5(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the whole model as legacy HDF5, `model.h5`, if Keras reloads it.

    From such a file Keras 3 loads an EfficientNet with other outputs and no
    ConvNeXt at all, and a nested Normalization loses its statistics. Each file
    is therefore loaded in a fresh process before it is kept.

    Returns:
        Path of the written file.

    Raises:
        RunError: Keras loads another network from the file or none; the file is
            removed.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", catalog.SUFFIXES["whole_h5"])
    with pending_exports.open_file(path) as file:
        float32_model.ensure_float32(job.model).save(file.temporary)
        file.record_figures(_check_whole_h5(file, job))
    return path


def _check_reloaded(
    file: pending_exports.PendingFile,
    job: jobs.ExportJob,
    beside: Mapping[str, np.ndarray] = types.MappingProxyType({}),
) -> Mapping[str, Any]:
    return file_checks.check_exact(
        "keras_file.py",
        file,
        job,
        allowed=parity_check.choose_tolerance(job),
        beside=beside,
    )


def _check_whole_h5(
    file: pending_exports.PendingFile, job: jobs.ExportJob
) -> Mapping[str, Any]:
    try:
        return _check_reloaded(file, job)
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
