"""Export as a SavedModel for TensorFlow Serving, from encoded pictures."""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.data.images import decoding
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import (
    export_refusal,
    fresh_process,
    parity_check,
)
from tf_finetune.exports.saved_model import (
    image_signatures,
    serving_network,
    signature_calls,
    version_writer,
)
from tf_finetune.model import inference
from tf_finetune.tasks import catalog as tasks

# A feature is a mean over sums of many products; rounding is relative to the
# largest of them. Measured: 3e-6 for MobileNetV2 with batch norm folded.
_RELATIVE_TOLERANCE = 1e-4
# Signatures of every model.
_REQUIRED_SIGNATURES = (image_signatures.BYTES, image_signatures.ARRAY)


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the next version directory and checks it; returns the directory.

    Signatures, each for a batch:
        serving_default: `image_bytes`, string [batch], encoded pictures →
            `list_classes`, `probabilities` [batch, classes] in the order of
            `assets/labels.txt`, `top_k_classes`, `top_k_probabilities`, and
            `error`, string [batch]: empty, or why the picture cannot be read;
            its other outputs are 0 or empty then. If requested also
            `ood_score`, float32 [batch], higher the further away.
        serve_array: `images`, float32 [batch, size, size, 3], RGB 0..255 → the
            same without `error` and composed texts; TensorFlow's converter
            makes LiteRT files of this one.
        embed: `image_bytes` → `features` [batch, width] and `error`.
        classify: `inputs`, string [batch], Examples with a feature
            `image_bytes` → `list_classes`, `scores` [batch, classes], as
            TensorFlow Serving's Classify requires.
        regress: The same → `outputs` [batch, 1], as its Regress requires.

    Each task defines its outputs in place of classes; of classify and regress
    there is the one that fits it, or none. A task whose predictions are
    pictures has further signatures that take `image_bytes`.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    contents = [pathlib.Path(path).read_bytes() for path in job.proof.paths]
    inputs = {
        image_signatures.EXAMPLE_FEATURE: fresh_process.make_string_array(
            contents
        )
    }
    return version_writer.write_version(
        version_writer.VersionParts(
            destination=job.destination,
            name=job.name,
            build=lambda folder: image_signatures.ImageServable(
                job, version_writer.write_labels(folder, job.class_names)
            ),
            prove=lambda folder, title, served: {
                **_check_signatures(folder, title, inputs, job, served),
                "batch_norms_folded": served.folded,
            },
            inputs=inputs,
            kind="encoded pictures",
            measuring_seconds=job.measuring_seconds,
        )
    )


def _check_signatures(
    folder: pathlib.Path,
    title: str,
    inputs: dict[str, np.ndarray],
    job: jobs.ExportJob,
    served: version_writer.Servable,
) -> dict[str, Any]:
    """Runs every signature on the job's pictures in a separate process."""
    contents = list(inputs[image_signatures.EXAMPLE_FEATURE])
    images = parity_check.decode_images(contents, job)
    examples = {"inputs": signature_calls.encode_examples(inputs)}
    restored = _list_restored_signatures(job)
    answers = signature_calls.call_signatures(
        folder,
        title,
        {
            image_signatures.BYTES: inputs,
            image_signatures.ARRAY: {"images": images},
            image_signatures.EMBED: inputs,
            **dict.fromkeys(restored, inputs),
            **dict.fromkeys(image_signatures.METHODS, examples),
        },
        variables=len(served.variables),
        batch_size=job.proof.batch_size,
    )
    # Predictions under every name that they have in a signature; the outputs
    # that follow from them are checked below.
    compared = (
        *tasks.TASKS.get(job.task).network.parity_outputs,
        "scores",
        "outputs",
    )
    figures = parity_check.check_predictions(
        title,
        {
            _parse_signature(key): each
            for key, each in answers.items()
            if key.endswith(tuple(f"/{each}" for each in compared))
        },
        job,
        allowed=parity_check.choose_tolerance(job),
    )
    _require_class_names(title, answers, job)
    _require_consistent(title, answers, job)
    if job.out_of_distribution:
        figures["ood_score"] = _compare_ood_scores(title, answers, images, job)
    if restored:
        figures |= _compare_restored(answers, contents, job)
    features = answers.get(f"{image_signatures.EMBED}/features")
    if features is not None:
        figures[image_signatures.EMBED] = _compare_features(
            title, features, images, job
        )
    return figures


def _require_class_names(
    name: str, answers: dict[str, np.ndarray], job: jobs.ExportJob
) -> None:
    """Raises `RunError` unless `list_classes` names the likeliest class."""
    names = np.array(job.class_names, dtype=object)
    for signature in (image_signatures.BYTES, image_signatures.ARRAY):
        if f"{signature}/classes" not in answers:
            continue
        best = np.argmax(answers[f"{signature}/probabilities"], axis=1)
        # Names of folders that are not UTF-8 travel as their bytes.
        got = [
            os.fsdecode(each) for each in answers[f"{signature}/classes"].flat
        ]
        if list(names[best]) != got:
            raise errors.RunError(
                f"The export {name} ({signature}) returns classes that are "
                "not the most likely ones. It has been removed; "
                f"{export_refusal.describe_report_address()}."
            )


def _require_consistent(
    name: str, answers: dict[str, np.ndarray], job: jobs.ExportJob
) -> None:
    """Raises `RunError` unless other outputs follow from the predictions.

    These are the task's outputs beside them: labels that reach thresholds, the
    likeliest classes.
    """
    task = tasks.TASKS.get(job.task).with_decision(job.decision).network
    for signature in _REQUIRED_SIGNATURES:
        predictions = answers.get(f"{signature}/{task.parity_outputs[0]}")
        if predictions is None:
            continue
        said = task.serve(tf.constant(predictions), job.class_names)
        for output, expected in said.items():
            if (
                signature == image_signatures.ARRAY
                and output in task.text_outputs
            ):
                continue
            if not _is_equal(
                answers[f"{signature}/{output}"], expected.numpy()
            ):
                raise errors.RunError(
                    f"The export {name} ({signature}) returns {output} that do "
                    "not follow from its predictions. It has been removed; "
                    f"{export_refusal.describe_report_address()}."
                )


def _is_equal(got: np.ndarray, expected: np.ndarray) -> bool:
    if got.dtype.kind == "f":
        return np.allclose(got, expected, rtol=0, atol=1e-6)
    return np.array_equal(got, expected)


def _compare_ood_scores(
    name: str,
    answers: dict[str, np.ndarray],
    images: np.ndarray,
    job: jobs.ExportJob,
) -> dict[str, float]:
    """Compares OOD scores with those computed from the logits."""
    task = tasks.TASKS.get(job.task)
    model = keras.Model(job.model.inputs, task.network.find_logits(job.model))
    logits = inference.predict(model, _iterate_batches(images, job))
    expected = task.certainty.ood_score(tf.constant(logits)).numpy()
    got = [answers[f"{way}/ood_score"] for way in _REQUIRED_SIGNATURES]
    return _require_close(f"{name} (ood_score)", np.stack(got), expected, job)


def _list_restored_signatures(job: jobs.ExportJob) -> tuple[str, ...]:
    """Returns the signatures whose outputs have the pictures' own sizes."""
    task = tasks.TASKS.get(job.task)
    return tuple(task.network.signature_functions) if task.files_at else ()


def _compare_restored(
    answers: dict[str, np.ndarray], contents: list[bytes], job: jobs.ExportJob
) -> dict[str, dict[str, float]]:
    """Compares outputs of the pictures' own sizes; returns new figures."""
    of_signature: dict[str, dict[str, np.ndarray]] = {}
    for key, each in answers.items():
        signature, _, output = key.partition("/")
        of_signature.setdefault(signature, {})[output] = each
    return tasks.TASKS.get(job.task).network.check_signatures(
        of_signature,
        job.proof.predictions,
        np.stack([decoding.read_size(tf.constant(each)) for each in contents]),
        resize=job.resize,
        allowed=parity_check.choose_tolerance(job),
    )


def _compare_features(
    name: str, got: np.ndarray, images: np.ndarray, job: jobs.ExportJob
) -> dict[str, float]:
    pooled = serving_network.find_features(job.model)
    extractor = keras.Model(job.model.inputs, pooled)
    expected = inference.predict(extractor, _iterate_batches(images, job))
    return _require_close(
        f"{name} ({image_signatures.EMBED})", got, expected, job
    )


def _iterate_batches(
    images: np.ndarray, job: jobs.ExportJob
) -> Iterator[np.ndarray]:
    size = job.proof.batch_size
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _require_close(
    name: str, got: np.ndarray, expected: np.ndarray, job: jobs.ExportJob
) -> dict[str, float]:
    """Compares numbers of any size; returns figures.

    Raises:
        RunError: They differ by more than the network rounds.
    """
    difference = np.abs(expected.astype("float64") - got)
    largest = float(np.abs(expected).max())
    # A network that rounds more than most is allowed more here, too, by the
    # same factor as for its predictions.
    tolerance = parity_check.choose_tolerance(job) / parity_check.TOLERANCE
    if not difference.max() <= _RELATIVE_TOLERANCE * tolerance * largest:
        raise errors.RunError(
            f"The export {name} differs from the network by up to "
            f"{difference.max():.2g}; the largest value is {largest:.2g}. "
            "It has been removed."
        )
    return {
        "max_abs_difference": float(difference.max()),
        "mean_abs_difference": float(difference.mean()),
        "largest": largest,
    }


def _parse_signature(key: str) -> str:
    return key.partition("/")[0]
