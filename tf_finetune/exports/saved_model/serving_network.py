"""Network of a SavedModel: the job's model in float32, batch norm folded."""

import dataclasses

import keras
import numpy as np
from absl import logging

from tf_finetune.exports import batch_norm_folding, float32_model
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import parity_check
from tf_finetune.model import inference
from tf_finetune.tasks import catalog as tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingNetwork:
    """Functional model for inference that also returns features and logits.

    Attributes:
        model: Takes images, or inputs by name, and returns a list of the
            tensors in `outputs`.
        outputs: Names of its outputs in order: "predictions", "features" if
            the graph has pooled ones, and "logits" if the export needs them.
        folded: The number of batch norm layers that are folded.
    """

    model: keras.Model
    outputs: tuple[str, ...]
    folded: int


def find_features(model: keras.Model) -> keras.KerasTensor | None:
    """Finds the pooled features in a model's graph.

    Args:
        model: A functional model with a global average pooling named
            "features", or with another one from whose output no feature map is
            computed. That excludes the pooling of squeeze-and-excitation blocks
            and of decoders.

    Returns:
        Its output [batch, width]; None if there is no such layer.
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
    """Copies a job's model in float32 and folds its batch norms.

    They stay unfolded if folding moves a prediction for the pictures of
    `job.proof` by more than the parity check allows.

    Args:
        job: The export; its model is not changed.

    Returns:
        The network with named outputs.
    """
    found = _fold_rows_model(job) if job.inputs else _fold_model(job)
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
        if job.inputs:
            return name_outputs(job.model, job)
        # A second copy: folding has used the layers of the first one.
        return name_outputs(float32_model.copy_model(job.model), job)
    return found


def _fold_model(job: jobs.ExportJob) -> ServingNetwork:
    network = name_outputs(float32_model.copy_model(job.model), job)
    found = batch_norm_folding.fold_batch_norms(network.model)
    return dataclasses.replace(
        network, model=found.model, folded=len(found.names)
    )


def _fold_rows_model(job: jobs.ExportJob) -> ServingNetwork:
    """Folds the batch norms of the networks within a model of rows."""
    names = []

    def fold_network(layer: keras.Operation) -> keras.Operation:
        # New layers: one of two graphs would not know which its input is.
        if not isinstance(layer, keras.Model):
            return type(layer).from_config(layer.get_config())
        # A copy, because folding takes the layers of the model it is given.
        found = batch_norm_folding.fold_batch_norms(
            float32_model.copy_model(layer)
        )
        names.extend(found.names)
        return found.model

    copy = keras.models.clone_model(job.model, clone_function=fold_network)
    for old, new in zip(job.model.layers, copy.layers, strict=True):
        if not isinstance(old, keras.Model):
            new.set_weights(old.get_weights())
    return dataclasses.replace(name_outputs(copy, job), folded=len(names))


def name_outputs(copy: keras.Model, job: jobs.AnswerFacts) -> ServingNetwork:
    """Adds features, and logits if they are served, to a model's outputs.

    Args:
        copy: Inputs → predictions.
        job: The export.
    """
    tensors = {"predictions": copy.outputs[0]}
    pooled = find_features(copy)
    if pooled is not None:
        tensors["features"] = pooled
    elif not job.inputs:
        logging.info(
            "The model has no global average pooling, so the export gets no "
            "signature 'embed'."
        )
    if job.out_of_distribution:
        tensors["logits"] = tasks.TASKS.get(job.task).network.find_logits(copy)
    return ServingNetwork(
        model=keras.Model(copy.input, list(tensors.values())),
        outputs=tuple(tensors),
        folded=0,
    )


def _measure_difference(model: keras.Model, job: jobs.ExportJob) -> float:
    """Measures a model's largest difference from the proof, in `unit`.

    Args:
        model: Inputs → a list whose first is the predictions.
        job: Has the pictures and the expected predictions.
    """
    predict = inference.compile_step(keras.Model(model.input, model.outputs[0]))
    largest = 0.0
    for part in job.proof.batches():
        given = parity_check.load_batch(part, job)
        got = np.asarray(inference.apply_step(predict, given))
        difference = np.abs(got - part.predictions) / job.unit
        largest = max(largest, float(difference.max()))
    return largest
