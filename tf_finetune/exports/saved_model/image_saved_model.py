"""Export as a SavedModel for TensorFlow Serving, of pictures or of rows."""

import pathlib
import tempfile

from tf_finetune import files
from tf_finetune.exports import export_files
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import parity_check
from tf_finetune.exports.saved_model import (
    image_signatures,
    signature_checks,
    version_writer,
)
from tf_finetune.tasks import catalog as tasks


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the next version directory and checks it; returns the directory.

    Signatures, each for a batch:
        serving_default: `image_bytes`, string [batch], encoded pictures →
            `classes`, `probabilities` [batch, classes] in the order of
            `assets/labels.txt`, `top_k_classes`, `top_k_probabilities`, and
            `error`, string [batch]: empty, or why the picture cannot be read;
            its other outputs are 0 or empty then. If requested also
            `ood_score`, float32 [batch], higher the further away.
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

    A model of rows takes `image_bytes` [batch, pictures] (`images` [batch,
    pictures, size, size, 3]) and beside them a field for each further input:
    `numbers`, float32 [batch, numbers], NaN where one is missing; `words`,
    string [batch, words]. `assets/columns.json` lists the columns in order;
    `error` tells which picture is bad. It has no signature `embed`.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    inputs = parity_check.load_requests(job.proof, job)
    with version_writer.open_version(pathlib.Path(job.destination)) as version:
        with tempfile.TemporaryDirectory() as assets:
            served = image_signatures.ImageServable(
                job, _write_assets(pathlib.Path(assets), job)
            )
            version.save(served)
        figures = signature_checks.check_signatures(
            version.temporary,
            version.title,
            inputs,
            job,
            variables=len(served.variables),
        )
        version.write_settings(
            inputs,
            name=job.name,
            kind="whole rows" if job.inputs else "encoded pictures",
            measuring_seconds=job.measuring_seconds,
        )
        version.publish({**figures, "batch_norms_folded": served.folded})
    return version.path


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
