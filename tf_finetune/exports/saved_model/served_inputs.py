"""Inputs of a SavedModel's signatures: fields of a request → model inputs.

A model of single pictures takes `image_bytes` [batch]; one of rows takes
`image_bytes` [batch, pictures] and a field for each further input.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.data.images import batch_decoding
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import fresh_process

BYTES, IMAGES = "image_bytes", "images"
"""Fields of encoded pictures, and of pictures that are decoded already."""

Tensors = Mapping[str, tf.Tensor]

# Values of the features that an Example lacks.
_MISSING = {tf.string: b"", tf.float32: np.nan}


@dataclasses.dataclass(frozen=True)
class ServedInputs:
    """Graph functions from the fields of a request to the inputs of a model.

    Attributes:
        job: The export, or another model that gets the inputs.
    """

    job: jobs.AnswerFacts

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """Tensor specs of a request with encoded pictures, by field."""
        if not self.job.inputs:
            return {BYTES: tf.TensorSpec([None], tf.string, name=BYTES)}
        return {e.field: e.spec(self.job.image_size) for e in self.job.inputs}

    @property
    def array_specs(self) -> dict[str, tf.TensorSpec]:
        """Tensor specs of a request with decoded pictures, by field."""
        # Encoded pictures come first.
        encoded, *rest = self.specs.values()
        size = self.job.image_size
        shape = [*encoded.shape, size, size, 3]
        images = tf.TensorSpec(shape, name=IMAGES)
        return {IMAGES: images, **{each.name: each for each in rest}}

    def decode(self, given: Tensors) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Decodes the pictures of a request.

        Args:
            given: Tensors by the fields of `specs`.

        Returns:
            Tensors by the fields of `array_specs`, and errors, string [batch]:
            empty, or why a picture cannot be read.
        """
        contents, job = given[BYTES], self.job
        found = batch_decoding.decode_batch(
            tf.reshape(contents, [-1]), job.square
        )
        images, faults = found.images, found.errors
        if job.inputs:
            # Decoded as one flat batch; from here on in rows again.
            names = job.inputs[0].columns
            shape = [-1, len(names), *images.shape[1:]]
            images = tf.reshape(images, shape)
            faults = _join_errors(tf.reshape(faults, [-1, len(names)]), names)
        rest = {k: v for k, v in given.items() if k != BYTES}
        return {IMAGES: images, **rest}, faults

    def feed(self, given: Tensors) -> tf.Tensor | dict[str, tf.Tensor]:
        """Makes the input of the model from the fields of `array_specs`.

        Returns:
            The images for a model of single pictures; else tensors by input.
        """
        if not self.job.inputs:
            return given[IMAGES]
        _, *rest = self.job.inputs
        return {
            IMAGES: given[IMAGES],
            **{each.name: each.take(given[each.field]) for each in rest},
        }

    def parse_examples(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parses serialized Examples to tensors by the fields of `specs`.

        Args:
            serialized: String [batch] of `tf.train.Example` messages; a missing
                feature becomes NaN or an empty string.
        """
        features = {
            name: tf.io.FixedLenFeature(
                spec.shape[1:],
                spec.dtype,
                np.full(
                    spec.shape[1:].as_list(), _MISSING[spec.dtype]
                ).tolist(),
            )
            for name, spec in self.specs.items()
        }
        return tf.io.parse_example(serialized, features)


def _join_errors(faults: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
    """Joins the errors of each row's pictures with their columns, [batch].

    Args:
        faults: string [batch, pictures], empty where there is no error.
        names: The names of the columns.
    """
    begin = tf.constant([f"; {name}: " for name in names])
    each = tf.where(faults == "", "", begin + faults)
    joined = tf.strings.reduce_join(each, axis=1)
    # The first error has no other one before it.
    return tf.strings.regex_replace(joined, "^; ", "")


def encode_example(row: Mapping[str, np.ndarray]) -> bytes:
    """Serializes a row as a `tf.train.Example`.

    Args:
        row: By feature, an array [values]: numbers of any dtype become a
            `float_list`, bytes with dtype object a `bytes_list`.
    """
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: _encode_feature(values) for name, values in row.items()
            }
        )
    ).SerializeToString()


def encode_examples(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Serializes rows as `tf.train.Example` messages.

    Args:
        inputs: By feature, [rows] or [rows, values]: numbers, or bytes with
            dtype object.

    Returns:
        Object [rows] of bytes.
    """
    count = len(next(iter(inputs.values())))
    return fresh_process.make_string_array(
        [
            encode_example(
                {k: v[row : row + 1].reshape(-1) for k, v in inputs.items()}
            )
            for row in range(count)
        ]
    )


def _encode_feature(values: np.ndarray) -> tf.train.Feature:
    if values.dtype == object:
        texts = tf.train.BytesList(value=values.tolist())
        return tf.train.Feature(bytes_list=texts)
    numbers = tf.train.FloatList(value=values.tolist())
    return tf.train.Feature(float_list=numbers)
