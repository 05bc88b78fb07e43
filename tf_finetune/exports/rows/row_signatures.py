"""Signatures of a SavedModel of whole rows."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune.data.images import batch_decoding
from tf_finetune.exports.graph import batch_norm_folding, float32_model
from tf_finetune.exports.parity import parity_check
from tf_finetune.exports.rows import rows_job as jobs
from tf_finetune.exports.saved_model import image_signatures, trackable

Tensors = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowNetwork:
    """Keras model for inference, batch norm folded where possible.

    Attributes:
        model: Has the inputs and the output of the job's model.
        folded: The number of batch norm layers that are folded.
    """

    model: keras.Model
    folded: int


class RowServable(trackable.TrackableModel):
    """Root object of the SavedModel: weights, tables, names, functions.

    For inference only.

    Attributes:
        functions: Concrete functions by the name of their signature.
        folded: The number of batch norm layers that are folded.
    """

    def __init__(
        self, job: jobs.RowsJob, assets: Sequence[pathlib.Path]
    ) -> None:
        network = optimize_network(job)
        super().__init__(network.model, assets)
        self.functions = _build_functions(network.model, job)
        self.folded = network.folded


def optimize_network(job: jobs.RowsJob) -> RowNetwork:
    """Folds the batch norms of the networks in the job's model.

    Only where the predictions for the proof's rows stay within the tolerance;
    otherwise none is folded.
    """
    names = []

    def fold_network(layer: keras.Operation) -> keras.Operation:
        if not isinstance(layer, keras.Model):
            return layer
        # A copy, because folding takes the layers of the model it is given.
        found = batch_norm_folding.fold_batch_norms(
            float32_model.copy_model(layer)
        )
        names.extend(found.names)
        return found.model

    model = keras.models.clone_model(job.model, clone_function=fold_network)
    largest = _measure_difference(model, job) if names else 0.0
    # Not `>`: NaN must count as a difference.
    if not largest <= jobs.TOLERANCE:
        logging.info(
            "Batch norm is not folded: predictions would differ by %.2g from "
            "the evaluation's (allowed: %.0e).",
            largest,
            jobs.TOLERANCE,
        )
        return RowNetwork(model=job.model, folded=0)
    return RowNetwork(model=model, folded=len(names))


def _measure_difference(model: keras.Model, job: jobs.RowsJob) -> float:
    """Measures a model's largest difference from the proof, in `unit`."""
    given, size = job.decode_inputs(), job.proof.batch_size
    answers = [
        model.predict_on_batch(
            {name: each[start : start + size] for name, each in given.items()}
        )
        for start in range(0, len(job.proof.values), size)
    ]
    compared = parity_check.compare_predictions(
        job.proof.values, np.concatenate(answers), unit=job.unit
    )
    return compared["max_abs_difference"]


def _build_functions(model: keras.Model, job: jobs.RowsJob) -> dict[str, Any]:
    specs = _make_specs(job.inputs)
    arrays = _make_array_specs(specs, job)

    # Graphs shared by all signatures, because tracing a deep network is slow.
    @functools.partial(tf.function, input_signature=[arrays], autograph=False)
    def compute(given: Tensors) -> tf.Tensor:
        rows = {name: given[name] for name in model.input if name in given}
        if job.inputs.words:
            rows["words"] = _take_prefixes(
                given[jobs.WORDS], job.inputs.word_prefixes
            )
        return model(rows, training=False)

    @functools.partial(tf.function, input_signature=[specs], autograph=False)
    def answer(given: Tensors) -> dict[str, tf.Tensor]:
        images, faults = _decode_images(given[jobs.PICTURES], job)
        columns = {k: v for k, v in given.items() if k != jobs.PICTURES}
        values = compute({jobs.ARRAYS: images, **columns})
        good = tf.reshape(faults == "", [-1, 1])
        # 0, not NaN: JSON has no NaN.
        values = tf.where(good, values, tf.zeros_like(values))
        return {"values": values, "error": faults}

    def serve(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(given)

    def serve_array(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"values": compute(given)}

    def regress(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": answer(_parse_examples(inputs, specs))["values"]}

    # Without autograph, which would rewrite Keras' layers.
    graph = functools.partial(tf.function, autograph=False)
    found = {
        image_signatures.BYTES: graph(serve).get_concrete_function(**specs),
        image_signatures.ARRAY: graph(serve_array).get_concrete_function(
            **arrays
        ),
    }
    if len(job.names) == 1:
        strings = tf.TensorSpec([None], tf.string, name="inputs")
        found[image_signatures.REGRESS] = graph(regress).get_concrete_function(
            strings
        )
    return found


def _make_specs(inputs: jobs.RowInputs) -> dict[str, tf.TensorSpec]:
    specs = {jobs.PICTURES: (len(inputs.pictures), tf.string)}
    if inputs.numbers:
        specs[jobs.NUMBERS] = (len(inputs.numbers), tf.float32)
    if inputs.words:
        specs[jobs.WORDS] = (len(inputs.words), tf.string)
    return {
        name: tf.TensorSpec([None, count], kind, name=name)
        for name, (count, kind) in specs.items()
    }


def _make_array_specs(
    specs: Mapping[str, tf.TensorSpec], job: jobs.RowsJob
) -> dict[str, tf.TensorSpec]:
    """Returns the input specs of rows whose pictures are decoded already."""
    size, count = job.image_size, len(job.inputs.pictures)
    images = tf.TensorSpec([None, count, size, size, 3], name=jobs.ARRAYS)
    columns = {k: v for k, v in specs.items() if k != jobs.PICTURES}
    return {jobs.ARRAYS: images, **columns}


def _decode_images(
    contents: tf.Tensor, job: jobs.RowsJob
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes pictures [batch, pictures].

    Returns:
        Images [batch, pictures, size, size, 3] and errors [batch].
    """
    names, size = job.inputs.pictures, job.image_size
    flat = batch_decoding.decode_batch(
        tf.reshape(contents, [-1]),
        image_size=size,
        resize=job.resize,
        pixels=job.pixels,
    )
    images = tf.reshape(flat.images, [-1, len(names), size, size, 3])
    return images, _join_errors(
        tf.reshape(flat.errors, [-1, len(names)]), names
    )


def _join_errors(faults: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
    """Joins the errors of each row's pictures with their columns, [batch].

    Args:
        faults: string [batch, pictures], empty where there is no error.
        names: The names of the columns.
    """
    begin = tf.constant([f"; {name}: " for name in names])
    each = tf.where(faults == "", "", begin + faults)
    joined = tf.strings.reduce_join(each, axis=1)
    return tf.strings.regex_replace(joined, "^; ", "")


def _take_prefixes(
    words: tf.Tensor, wanted: Sequence[tuple[int, int | None]]
) -> tf.Tensor:
    columns = [
        words[:, place]
        if length is None
        else tf.strings.substr(words[:, place], 0, length, unit="UTF8_CHAR")
        for place, length in wanted
    ]
    return tf.stack(columns, axis=1)


def _parse_examples(
    serialized: tf.Tensor, specs: Mapping[str, tf.TensorSpec]
) -> dict[str, tf.Tensor]:
    """Parses Examples; a feature that is absent is NaN or an empty string."""
    missing = {tf.string: b"", tf.float32: np.nan}
    features = {
        name: tf.io.FixedLenFeature(
            spec.shape[1:], spec.dtype, [missing[spec.dtype]] * spec.shape[1]
        )
        for name, spec in specs.items()
    }
    return tf.io.parse_example(serialized, features)
