"""Export as a SavedModel for TensorFlow Serving, of pictures or of rows.

Two exports of one workdir differ only in function names, which TensorFlow
numbers with one counter for the whole process. Written by the same command in
two processes, all files of a version have equal bytes except the warm-up
requests, whose number depends on the timing.
"""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from tf_finetune import files
from tf_finetune.exports import export_files, pending_exports
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import parity_check
from tf_finetune.exports.saved_model import (
    image_signatures,
    server_settings,
    signature_checks,
)
from tf_finetune.tasks import catalog as tasks

# Beside the versions lie settings of servers and the figures of the checks.
_TEMPORARY_NAMES = (
    pending_exports.ANY_VERSION,
    export_files.MODEL_CONFIG,
    export_files.BATCHING_PARAMETERS,
    export_files.PARITY,
)


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the next version of a SavedModel for TensorFlow Serving, checked.

    Signatures, each for a batch:
        serving_default: `image_bytes`, string [batch], encoded pictures →
            `classes`, `probabilities` [batch, classes] in the order of
            `assets/labels.txt`, `top_k_classes`, `top_k_probabilities`, and
            `error`, string [batch]: empty, or why the picture cannot be read;
            its other outputs are 0 or empty then. If requested also
            `ood_score`, float32 [batch], higher for pictures less like the
            training data.
        serve_array: `images`, float32 [batch, size, size, 3], RGB 0..255 → the
            same without `error` and composed texts; TensorFlow's converter
            makes LiteRT files of this one.
        embed: `image_bytes` → `features` [batch, width] and `error`.
        classify: `inputs`, string [batch], Examples with a feature
            `image_bytes` → `classes`, `scores` [batch, classes], as
            TensorFlow Serving's Classify requires.
        regress: The same → `outputs` [batch, 1], as its Regress requires.

    Each task defines its outputs in place of classes; of classify and regress
    there is the one that fits it, or none. A task whose predictions are
    pictures has further signatures that take `image_bytes`.

    A model of table rows takes `image_bytes` [batch, pictures] (`images`
    [batch, pictures, size, size, 3]) and a field for each further input:
    `numbers`, float32 [batch, numbers], NaN where one is missing; `words`,
    string [batch, words]. `assets/columns.json` lists the columns in order;
    `error` tells which picture is bad. It has no signature `embed`.

    Args:
        job: Its `destination` is the folder of versions.

    Returns:
        Path of the new version's folder, whose name is its number.

    Raises:
        RunError: The SavedModel computes something else; it is removed.
        UsageError: The destination cannot be written.
    """
    inputs = parity_check.load_requests(job.proof, job)
    folder = pathlib.Path(job.destination)
    with (
        pending_exports.lock_folder(folder, names=_TEMPORARY_NAMES),
        pending_exports.next_version(folder) as (temporary, number),
    ):
        served = _save(job, temporary)
        figures = signature_checks.check_signatures(
            temporary,
            f"version {number}",
            inputs,
            job,
            variables=len(served.variables),
        )
        _write_settings(temporary, folder, inputs, job)
        # Before the rename: a version that has its name has its figures.
        parity_check.write_figures(
            folder / number, {**figures, "batch_norms_folded": served.folded}
        )
    return folder / number


def _save(
    job: jobs.ExportJob, temporary: pathlib.Path
) -> image_signatures.ImageServable:
    """Writes the SavedModel; it loads with plain `tf.saved_model.load`."""
    with tempfile.TemporaryDirectory() as assets, _silence_tensorflow():
        served = image_signatures.ImageServable(
            job, _write_assets(pathlib.Path(assets), job)
        )
        tf.saved_model.save(served, str(temporary), signatures=served.functions)
    image_signatures.set_methods(temporary, image_signatures.METHODS)
    return served


def _write_settings(
    temporary: pathlib.Path,
    folder: pathlib.Path,
    inputs: Mapping[str, np.ndarray],
    job: jobs.ExportJob,
) -> None:
    """Times batches and writes settings and warm-up requests of servers.

    A server loads a version as soon as it has its name, so they are there
    before.

    Args:
        temporary: The SavedModel, which gets the warm-up requests.
        folder: Of the versions, which gets the settings.
        inputs: Real inputs of the default signature, [rows, …] by name.
        job: Has the model's name and the time for measurements.
    """
    timings = _time_batches(temporary, inputs, job.measuring_seconds)
    server_settings.write_requests(
        temporary,
        inputs,
        model=job.name,
        signature=image_signatures.DEFAULT,
        largest_batch=server_settings.choose_batch(timings).batch_size,
    )
    server_settings.write_settings(
        folder,
        job.name,
        server_settings.render_batching_parameters(
            timings,
            cores=os.cpu_count() or 1,
            kind="whole rows" if job.inputs else "encoded pictures",
        ),
    )


def _write_assets(
    folder: pathlib.Path, job: jobs.ExportJob
) -> list[pathlib.Path]:
    labels = folder / export_files.LABELS
    labels.write_bytes(export_files.encode_labels(job.class_names))
    if not job.inputs:
        return [labels]
    path = folder / export_files.COLUMNS
    found = {each.field: list(each.columns) for each in job.inputs}
    output = tasks.TASKS.get(job.task).exports.output
    files.write_json(path, {**found, output: list(job.class_names)})
    return [labels, path]


@contextlib.contextmanager
def _silence_tensorflow() -> Iterator[None]:
    # TensorFlow logs the temporary folder, which a notebook shows as an error.
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def _time_batches(
    folder: pathlib.Path,
    inputs: Mapping[str, np.ndarray],
    measuring_seconds: float,
) -> list[server_settings.BatchTiming]:
    serve = tf.saved_model.load(str(folder)).signatures[
        image_signatures.DEFAULT
    ]
    _, specs = serve.structured_input_signature

    def answer(places: list[int]) -> np.ndarray:
        rows = {
            # A list, because TensorFlow would take bytes for numbers.
            name: tf.constant(array[places].tolist(), specs[name].dtype)
            for name, array in inputs.items()
        }
        return serve(**rows)["error"].numpy()

    # The very first call takes many times as long and must not be timed.
    answer([0])
    count = len(next(iter(inputs.values())))
    return server_settings.time_batches(
        answer, range(count), budget_seconds=measuring_seconds
    )
