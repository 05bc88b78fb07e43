"""Network of a SavedModel: the job's model in float32, batch norm folded."""

import dataclasses
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune.exports import job as jobs
from tf_finetune.exports.graph import batch_norm_folding, float32_model
from tf_finetune.exports.parity import parity_check
from tf_finetune.model import inference
from tf_finetune.tasks import catalog as tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingNetwork:
    """Graph of a model for inference, with its features and logits.

    Attributes:
        model: Images → a list of the tensors in `outputs`.
        outputs: Names of its outputs: "predictions", and if the graph has
            them "features" and "logits".
        folded: The number of batch norm layers that are folded.
    """

    model: keras.Model
    outputs: tuple[str, ...]
    folded: int


def find_features(model: keras.Model) -> keras.KerasTensor | None:
    """Finds the pooled features in a model's graph; None without any.

    Args:
        model: A graph as this package builds it, where the layer is named
            "features", or another one with global average pooling from whose
            output no feature map is computed. That excludes the pooling of
            squeeze-and-excitation blocks and of decoders.
    """
    pooling = [
        each
        for each in model.layers
        if isinstance(each, keras.layers.GlobalAveragePooling2D)
        and len(each.output.shape) == 2
    ]
    named = [each for each in pooling if each.name == "features"]
    last = [each for each in pooling if not _feeds_feature_map(each, model)]
    found = (named or last)[-1:]
    return found[0].output if found else None


def _feeds_feature_map(layer: keras.layers.Layer, model: keras.Model) -> bool:
    """Returns whether a feature map is computed from a layer's output."""
    # Operations are in topological order, so one pass reaches all descendants.
    made = {id(layer.output)}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            if made.isdisjoint(map(id, node.input_tensors)):
                continue
            made.update(map(id, node.output_tensors))
            if any(len(each.shape) > 3 for each in node.output_tensors):
                return True
    return False


def optimize_network(job: jobs.ExportJob) -> ServingNetwork:
    """Copies the job's model in float32 and folds its batch norms.

    Only where the predictions for the job's pictures stay within the
    tolerance; otherwise none is folded.
    """
    network = _copy_network(job)
    found = batch_norm_folding.fold_batch_norms(network.model)
    largest = _measure_difference(found.model, job)
    allowed = parity_check.choose_tolerance(job)
    # Not `>`: NaN must count as a difference.
    if not largest <= allowed:
        logging.info(
            "Batch norm is not folded: probabilities would differ by %.2g "
            "from the evaluation's (allowed: %.0e).",
            largest,
            allowed,
        )
        # A second copy: folding has used the layers of the first one.
        return _copy_network(job)
    return dataclasses.replace(
        network, model=found.model, folded=len(found.names)
    )


def _copy_network(job: jobs.ExportJob) -> ServingNetwork:
    copy = float32_model.copy_model(job.model)
    tensors = {"predictions": copy.outputs[0]}
    pooled = find_features(copy)
    if pooled is not None:
        tensors["features"] = pooled
    else:
        logging.info(
            "The model has no global average pooling, so the export gets no "
            "signature 'embed'."
        )
    if job.out_of_distribution:
        tensors["logits"] = tasks.TASKS.get(job.task).network.find_logits(copy)
    return ServingNetwork(
        model=keras.Model(copy.inputs, list(tensors.values())),
        outputs=tuple(tensors),
        folded=0,
    )


def _measure_difference(model: keras.Model, job: jobs.ExportJob) -> float:
    """Measures a model's largest difference from the proof, in `unit`.

    Args:
        model: Images → a list whose first is the predictions.
        job: Has the pictures and the expected predictions.
    """
    paths, size = job.proof.paths, job.proof.batch_size
    predict = inference.compile_step(
        keras.Model(model.inputs, model.outputs[0])
    )
    largest = 0.0
    for start in range(0, len(paths), size):
        rows = slice(start, start + size)
        contents = [pathlib.Path(path).read_bytes() for path in paths[rows]]
        got = np.asarray(
            predict(tf.constant(parity_check.decode_images(contents, job)))
        )
        difference = np.abs(got - job.proof.predictions[rows]) / job.unit
        largest = max(largest, float(difference.max()))
    return largest
