"""Export of a model of whole rows as a SavedModel for TensorFlow Serving."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_finetune import files
from tf_finetune.exports import export_files
from tf_finetune.exports.parity import parity_check
from tf_finetune.exports.rows import row_signatures
from tf_finetune.exports.rows import rows_job as jobs
from tf_finetune.exports.saved_model import image_signatures as names
from tf_finetune.exports.saved_model import signature_calls, version_writer


def write(job: jobs.RowsJob) -> pathlib.Path:
    """Writes the next version directory and checks it; returns the directory.

    Signatures, each for a batch:
        serving_default: `image_bytes`, string [batch, pictures]; where there
            are any, `numbers`, float32 [batch, numbers], NaN where one is
            missing, and `words`, string [batch, words] → `values`, float32
            [batch, targets], and `error`, string [batch]: empty, or which
            picture is bad and why; `values` are 0 then.
            `assets/columns.json` lists the columns in order.
        serve_array: `images`, float32 [batch, pictures, size, size, 3], RGB
            0..255, in place of `image_bytes`; `values` alone.
        regress, where there is one target: `inputs`, string [batch],
            Examples with the same features → `outputs` [batch, 1], as
            TensorFlow Serving's Regress requires. A missing feature is an
            empty picture, missing numbers or empty words.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    inputs = job.encode_inputs()
    return version_writer.write_version(
        version_writer.VersionParts(
            destination=job.destination,
            name=job.name,
            build=lambda folder: row_signatures.RowServable(
                job,
                [
                    version_writer.write_labels(folder, job.names),
                    _write_columns(folder, job),
                ],
            ),
            prove=lambda folder, title, served: {
                **_check_signatures(folder, title, inputs, job, served),
                "batch_norms_folded": served.folded,
            },
            inputs=inputs,
            kind="whole rows",
            measuring_seconds=job.measuring_seconds,
        )
    )


def _write_columns(folder: pathlib.Path, job: jobs.RowsJob) -> pathlib.Path:
    path = folder / export_files.COLUMNS
    found = {
        jobs.PICTURES: job.inputs.pictures,
        jobs.NUMBERS: job.inputs.numbers,
        jobs.WORDS: job.inputs.words,
        "values": job.names,
    }
    files.write_json(path, {name: list(each) for name, each in found.items()})
    return path


def _check_signatures(
    folder: pathlib.Path,
    title: str,
    inputs: Mapping[str, np.ndarray],
    job: jobs.RowsJob,
    served: version_writer.Servable,
) -> dict[str, Any]:
    """Runs every signature on the proof's rows in a separate process."""
    columns = {k: v for k, v in inputs.items() if k != jobs.PICTURES}
    images = job.decode_inputs()["images"]
    answers = signature_calls.call_signatures(
        folder,
        title,
        {
            names.BYTES: inputs,
            names.ARRAY: {jobs.ARRAYS: images, **columns},
            names.REGRESS: {"inputs": signature_calls.encode_examples(inputs)},
        },
        variables=len(served.variables),
        batch_size=job.proof.batch_size,
    )
    # Of the signatures only REGRESS may be missing: with several targets.
    compared = {
        names.BYTES: answers[f"{names.BYTES}/values"],
        names.ARRAY: answers[f"{names.ARRAY}/values"],
        names.REGRESS: answers.get(f"{names.REGRESS}/outputs"),
    }
    return {
        "pictures": inputs[jobs.PICTURES].size,
        "rows": len(job.proof.paths),
        "tolerance": jobs.TOLERANCE,
        **{
            way: parity_check.require_close(
                f"{title} ({way})",
                job.proof.values,
                got,
                allowed=jobs.TOLERANCE,
                unit=job.unit,
            )
            for way, got in compared.items()
            if got is not None
        },
    }
