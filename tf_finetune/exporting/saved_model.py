"""A SavedModel for TensorFlow Serving: encoded pictures in, classes out.

Two exports of one workdir differ in nothing but function names: TensorFlow
numbers functions by a counter that runs through the whole process. Made by the
same command in two processes, all files of a version are byte-equal.
"""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import errors, inference
from tf_finetune.exporting import (
    fresh,
    layout,
    parity,
    saved_proto,
    server_settings,
    signatures,
    staging,
    warmup,
)
from tf_finetune.exporting import job as jobs
from tf_finetune.tasks import catalog as tasks

# A feature is a mean over sums of many products; rounding is relative to the
# largest of them. Measured: 3e-6 for MobileNetV2 with batch norm folded.
_FEATURES_TOLERANCE = 1e-4


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the next version directory and proves it; returns the directory.

    Signatures, each for a batch:
        serving_default: `image_bytes`, string [batch], encoded pictures →
            `classes`, `probabilities` [batch, classes] in the order of
            `assets/labels.txt`, `top_k_classes`, `top_k_probabilities`, and
            `error`, string [batch]: empty, or what is wrong with the picture;
            its other outputs are 0 or empty then. A task whose answers are
            pictures gives `masks` [batch, height, width] and `sizes` in
            place of classes. Where it was asked for also
            `ood_score`, float32 [batch], higher the further away.
        serve_array: `images`, float32 [batch, size, size, 3], RGB 0..255 → the
            same but for `error`.
        embed: `image_bytes` → `features` [batch, width] and `error`.
        classify: `inputs`, string [batch], Examples with a feature
            `image_bytes` → `classes`, `scores` [batch, classes], as TensorFlow
            Serving's Classify asks for.
        regress: The same → `outputs` [batch, 1], as its Regress asks for.

    What a task answers in place of classes is for the task to say; of
    classify and regress there is the one that fits it, or none.

    It loads with plain `tf.saved_model.load`. Warm-up requests lie in
    `assets.extra/`; `model.config` and `batching_parameters.txt` beside the
    versions.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    folder = pathlib.Path(job.destination)
    beside = (layout.MODEL_CONFIG, layout.BATCHING, layout.PARITY)
    with (
        staging.locked(folder, names=(staging.VERSION, *beside)),
        staging.new_version(folder) as (temporary, version),
    ):
        folded = _save(job, temporary)
        figures = _proven(temporary, version, job)
        figures["batch_norms_folded"] = folded
        measured = _measured(temporary, job)
        warmup.write(
            temporary,
            job.proof.paths,
            model=job.name,
            signature=signatures.BYTES,
            largest_batch=server_settings.best_batch(measured).batch_size,
        )
        # A server takes a version up as soon as it bears its name: what lies
        # beside it is written before.
        server_settings.write(
            folder,
            job.name,
            server_settings.batching(measured, cores=os.cpu_count() or 1),
        )
        parity.record(folder / version, figures)
    return folder / version


def _save(job: jobs.ExportJob, folder: pathlib.Path) -> int:
    """Writes the SavedModel; returns how many batch norms are folded."""
    with tempfile.TemporaryDirectory() as scratch:
        labels = pathlib.Path(scratch) / layout.LABELS
        text = "".join(f"{name}\n" for name in job.class_names)
        # A class may be called after a folder whose name is no UTF-8.
        labels.write_bytes(text.encode("utf-8", errors="surrogateescape"))
        served = signatures.Served(job, labels)
        with _quiet():
            tf.saved_model.save(
                served, str(folder), signatures=served.functions
            )
    saved_proto.complete(folder, signatures.METHODS)
    return served.folded


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # It tells of a temporary folder, which a notebook shows as an error.
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def _proven(
    folder: pathlib.Path, version: str, job: jobs.ExportJob
) -> dict[str, Any]:
    """Asks every signature in a process of its own about the job's pictures."""
    contents = [pathlib.Path(path).read_bytes() for path in job.proof.paths]
    images = parity.decoded(contents, job)
    inputs = {
        f"{signatures.BYTES}/image_bytes": fresh.strings(contents),
        f"{signatures.ARRAY}/images": images,
        f"{signatures.EMBED}/image_bytes": fresh.strings(contents),
        **{
            f"{name}/inputs": fresh.strings([_example(e) for e in contents])
            for name in signatures.METHODS
        },
    }
    known = saved_proto.methods(folder)
    answers = fresh.run(
        fresh.RUNTIMES / "saved_model.py",
        folder,
        {key: each for key, each in inputs.items() if _of(key) in known}
        | {"batch_size": np.array(job.proof.batch_size)},
    )
    name = f"version {version}"
    compared = (*tasks.TASKS.get(job.task).network.proven, "scores", "outputs")
    figures = parity.check_answers(
        name,
        {
            _of(key): each
            for key, each in answers.items()
            if key.endswith(tuple(f"/{each}" for each in compared))
        },
        job,
        allowed=parity.tolerance(job),
    )
    _require_names(name, answers, job)
    if signatures.EMBED in known:
        got = answers[f"{signatures.EMBED}/features"]
        figures[signatures.EMBED] = _compared_features(name, got, images, job)
    return figures


def _require_names(
    name: str, answers: dict[str, np.ndarray], job: jobs.ExportJob
) -> None:
    """Raises `RunError` unless classes are named as the evaluation has it."""
    names = np.array(job.class_names, dtype=object)
    for signature in (signatures.BYTES, signatures.ARRAY):
        if f"{signature}/classes" not in answers:
            continue
        best = np.argmax(answers[f"{signature}/probabilities"], axis=1)
        got = [
            os.fsdecode(each) for each in answers[f"{signature}/classes"].flat
        ]
        bad = answers.get(f"{signature}/error", np.array([b""], object))
        if list(names[best]) != got or any(bad):
            raise errors.RunError(
                f"The export {name} ({signature}) names other classes than "
                "the likeliest ones, or finds fault with pictures that the "
                "evaluation read. It has been removed; please report this."
            )


def _compared_features(
    name: str, got: np.ndarray, images: np.ndarray, job: jobs.ExportJob
) -> dict[str, float]:
    pooled = signatures.features(job.model)
    extractor = keras.Model(job.model.inputs, pooled)
    size = job.proof.batch_size
    starts = range(0, len(images), size)
    expected = inference.predict(
        extractor, (images[start : start + size] for start in starts)
    )
    difference = np.abs(expected.astype("float64") - got)
    largest = float(np.abs(expected).max())
    tolerance = parity.tolerance(job) / parity.TOLERANCE
    if not difference.max() <= _FEATURES_TOLERANCE * tolerance * largest:
        raise errors.RunError(
            f"The export {name} ({signatures.EMBED}) differs from the "
            f"network: features by up to {difference.max():.2g}, the largest "
            f"of them being {largest:.2g}. It has been removed."
        )
    return {
        "max_abs_difference": float(difference.max()),
        "mean_abs_difference": float(difference.mean()),
        "largest_feature": largest,
    }


def _measured(
    folder: pathlib.Path, job: jobs.ExportJob
) -> list[server_settings.Measured]:
    serve = tf.saved_model.load(str(folder)).signatures[signatures.BYTES]
    return server_settings.measure(
        lambda batch: serve(image_bytes=tf.constant(batch))["error"].numpy(),
        [pathlib.Path(path).read_bytes() for path in job.proof.paths],
        budget_seconds=job.measuring_seconds,
    )


def _of(key: str) -> str:
    return key.partition("/")[0]


def _example(contents: bytes) -> bytes:
    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents]))
    features = tf.train.Features(feature={signatures.EXAMPLE_FEATURE: value})
    return tf.train.Example(features=features).SerializeToString()
