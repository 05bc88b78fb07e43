"""A job's network made ready for a SavedModel: float32, batch norm folded."""

import dataclasses
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import inference
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.graph import folding, precision
from tf_finetune.exporting.proof import parity
from tf_finetune.tasks import catalog as tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A model's graph made ready for answering.

    Attributes:
        model: Images → a list of the tensors in `outputs`.
        outputs: What each of its outputs is: "predictions", and where the
            graph has them "features" and "logits".
        folded: The number of batch norm layers that are folded.
    """

    model: keras.Model
    outputs: tuple[str, ...]
    folded: int


def features(model: keras.Model) -> keras.KerasTensor | None:
    """Returns the pooled features in a model's graph, None if there are none.

    Args:
        model: A graph as this package builds it, where the layer is called
            "features", or another one with global average pooling that no
            map is computed from: what squeezes a map to weigh its channels,
            or what a decoder pools, is not what the model makes of a picture.
    """
    pooling = [
        each
        for each in model.layers
        if isinstance(each, keras.layers.GlobalAveragePooling2D)
        and len(each.output.shape) == 2
    ]
    named = [each for each in pooling if each.name == "features"]
    last = [each for each in pooling if not _leads_to_a_map(each, model)]
    found = (named or last)[-1:]
    return found[0].output if found else None


def _leads_to_a_map(layer: keras.layers.Layer, model: keras.Model) -> bool:
    """Whether anything [batch, height, width, channels] is made of a layer."""
    made = {id(layer.output)}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            if made.isdisjoint(map(id, node.input_tensors)):
                continue
            made.update(map(id, node.output_tensors))
            if any(len(each.shape) > 3 for each in node.output_tensors):
                return True
    return False


def optimized(job: jobs.ExportJob) -> Network:
    """Returns a float32 copy of the job's model made quick.

    Batch norm is folded where that stays within the tolerance on the job's
    pictures; else none is.
    """
    network = _copied(job)
    found = folding.folded(network.model)
    largest = _difference(found.model, job)
    allowed = parity.tolerance(job)
    if not largest <= allowed:
        logging.info(
            "batch norm is not folded: probabilities would differ by %.2g "
            "from the evaluation's (allowed %.0e)",
            largest,
            allowed,
        )
        return _copied(job)
    return dataclasses.replace(
        network, model=found.model, folded=len(found.names)
    )


def _copied(job: jobs.ExportJob) -> Network:
    copy = precision.copied(job.model)
    tensors = {"predictions": copy.outputs[0]}
    pooled = features(copy)
    if pooled is not None:
        tensors["features"] = pooled
    else:
        logging.info(
            "The model has no global average pooling, so the export gets no "
            "signature 'embed'."
        )
    if job.out_of_distribution:
        tensors["logits"] = tasks.TASKS.get(job.task).network.logits(copy)
    return Network(
        model=keras.Model(copy.inputs, list(tensors.values())),
        outputs=tuple(tensors),
        folded=0,
    )


def _difference(model: keras.Model, job: jobs.ExportJob) -> float:
    """Returns how much a model differs from the proof, at most, in `unit`.

    Args:
        model: Images → a list whose first is the predictions.
        job: Pictures and what is expected of them.
    """
    paths, size = job.proof.paths, job.proof.batch_size
    predict = inference.step(keras.Model(model.inputs, model.outputs[0]))
    largest = 0.0
    for start in range(0, len(paths), size):
        rows = slice(start, start + size)
        contents = [pathlib.Path(path).read_bytes() for path in paths[rows]]
        got = np.asarray(predict(tf.constant(parity.decoded(contents, job))))
        difference = np.abs(got - job.proof.predictions[rows]) / job.unit
        largest = max(largest, float(difference.max()))
    return largest
