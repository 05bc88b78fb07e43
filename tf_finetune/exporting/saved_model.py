"""A SavedModel for TensorFlow Serving: encoded pictures in, classes out."""

import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.data import decoding
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting import parity, precision, staging

LABELS = "labels.txt"
"""The name of the file of class names among the SavedModel's assets."""


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the next version directory and proves it; returns the directory.

    Signatures:
        serving_default: `image_bytes`, string [batch], encoded pictures; one
            that does not decode fails the whole batch.
        serve_array: `images`, float32 [batch, size, size, 3], RGB 0..255.

    Both return `classes`, string [batch], the likeliest class, and
    `probabilities`, float32 [batch, classes], in the order of
    `assets/labels.txt`. It loads with plain `tf.saved_model.load`.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    folder = pathlib.Path(job.destination)
    with staging.locked(folder, names=staging.VERSION):
        with staging.new_version(folder) as (temporary, version):
            _save(job, temporary)
            figures = _proven(temporary, version, job)
        path = folder / version
        parity.record(path, figures)
    return path


def _save(job: jobs.ExportJob, folder: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        labels = pathlib.Path(scratch) / LABELS
        text = "".join(f"{name}\n" for name in job.class_names)
        labels.write_bytes(_encoded(text))
        served = _Served(precision.in_float32(job.model), job, labels)
        tf.saved_model.save(
            served,
            str(folder),
            signatures={
                "serving_default": served.serve_bytes,
                "serve_array": served.serve_array,
            },
        )


class _Served(tf.Module):
    """What the SavedModel holds: weights, class names, two functions.

    Acts in inference only; training-time behaviour of layers is off.
    """

    def __init__(
        self, model: keras.Model, job: jobs.ExportJob, labels: pathlib.Path
    ) -> None:
        super().__init__()
        self.model_variables = list(model.variables)
        self.labels = tf.saved_model.Asset(str(labels))
        names = tf.constant([_encoded(name) for name in job.class_names])
        size = job.image_size

        def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
            probabilities = tf.cast(model(images, training=False), tf.float32)
            best = tf.argmax(probabilities, axis=-1)
            return {
                "classes": tf.gather(names, best),
                "probabilities": probabilities,
            }

        def decode(contents: tf.Tensor) -> tf.Tensor:
            return decoding.load_bytes(
                contents, image_size=size, resize=job.resize
            )

        self.serve_bytes = _function(
            lambda image_bytes: answer(
                tf.map_fn(
                    decode,
                    image_bytes,
                    fn_output_signature=tf.TensorSpec([size, size, 3]),
                )
            ),
            tf.TensorSpec([None], tf.string, name="image_bytes"),
        )
        self.serve_array = _function(
            lambda images: answer(images),
            tf.TensorSpec([None, size, size, 3], name="images"),
        )


def _function(body: Callable, spec: tf.TensorSpec) -> Any:
    # Without autograph, which would look into Keras' layers and lambdas.
    return tf.function(body, input_signature=[spec], autograph=False)


def _encoded(text: str) -> bytes:
    # A class may be called after a folder whose name is no UTF-8.
    return text.encode("utf-8", errors="surrogateescape")


def _proven(
    folder: pathlib.Path, version: str, job: jobs.ExportJob
) -> dict[str, Any]:
    loaded = tf.saved_model.load(str(folder))
    from_bytes = loaded.signatures["serving_default"]
    from_array = loaded.signatures["serve_array"]

    def serve_bytes(contents: list[bytes]) -> np.ndarray:
        answer = from_bytes(image_bytes=tf.constant(contents))
        return answer["probabilities"].numpy()

    def serve_array(contents: list[bytes]) -> np.ndarray:
        images = tf.constant(parity.decoded(contents, job))
        return from_array(images=images)["probabilities"].numpy()

    predictors = {"serving_default": serve_bytes, "serve_array": serve_array}
    return parity.check(f"version {version}", predictors, job)
