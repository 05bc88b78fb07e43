"""What a SavedModel can be asked: its functions, and what holds their weights.

Every signature is made of TensorFlow's stock operations: it loads with plain
`tf.saved_model.load` and in TensorFlow Serving.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import inference
from tf_finetune.data.pictures import encoded
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.graph import folding, precision
from tf_finetune.exporting.proof import parity
from tf_finetune.tasks import catalog as tasks

BYTES, ARRAY, EMBED, CLASSIFY, REGRESS = (
    "serving_default",
    "serve_array",
    "embed",
    "classify",
    "regress",
)
METHODS = {
    CLASSIFY: "tensorflow/serving/classify",
    REGRESS: "tensorflow/serving/regress",
}
"""What TensorFlow Serving calls them; all others are "predict"."""

EXAMPLE_FEATURE = "image_bytes"
"""The name of the encoded picture in a `tf.train.Example`."""

LARGEST_RESTORED = 50_000_000
"""Pixels of a picture whose answer is brought to its own size, at most."""


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


class Served(tf.Module):
    """What the SavedModel holds: weights, class names, functions.

    Acts in inference only; training-time behaviour of layers is off.

    Attributes:
        functions: By the name of their signature.
        folded: The number of batch norm layers that are folded.
    """

    def __init__(self, job: jobs.ExportJob, labels: pathlib.Path) -> None:
        super().__init__()
        network = optimized(job)
        # Not `variables`: those hold the random states of dropout, too.
        self.model_weights = list(network.model.weights)
        self.labels = tf.saved_model.Asset(str(labels))
        self.functions = {
            name: _function(body, spec)
            for name, (body, spec) in _bodies(network, job).items()
        }
        self.folded = network.folded


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
            "signature %r.",
            EMBED,
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


def _bodies(
    network: Network, job: jobs.ExportJob
) -> dict[str, tuple[Callable, tf.TensorSpec]]:
    """Returns function and input of each signature."""
    whole = tasks.TASKS.get(job.task).decided(job.decision)
    task = whole.network
    size, names = job.image_size, job.class_names
    images = tf.TensorSpec([None, size, size, 3], name="images")
    strings = tf.TensorSpec([None], tf.string, name="image_bytes")

    # Graphs that all signatures call: to trace them takes long.
    compute = _computing(network, images)
    decode = _decoding(job, strings)
    own_sizes = tf.function(
        encoded.sizes, input_signature=[strings], autograph=False
    )

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        computed = compute(images)
        answer = task.serve(computed["predictions"], names)
        if job.out_of_distribution:
            logits = computed["logits"]
            answer["ood_score"] = whole.certainty.strangeness(logits)
        return answer

    def serve_bytes(restore: Callable | None = None) -> Callable:
        def answered(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            images, errors = decode(image_bytes)
            answer = serve(images)
            if restore:
                sizes = own_sizes(image_bytes)
                errors = _with_too_large(errors, sizes)
                # Nobody else's mask is filled up to what cannot be seen.
                sizes = tf.where(errors[:, tf.newaxis] == "", sizes, 0)
                answer = restore(answer, sizes, job.resize)
            return {**_blanked(answer, errors), "error": errors}

        return answered

    def embed(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images, errors = decode(image_bytes)
        answer = {"features": compute(images)["features"]}
        return {**_blanked(answer, errors), "error": errors}

    def answer_examples(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        images, errors = decode(_from_examples(inputs))
        computed = compute(images)["predictions"]
        return _blanked(task.classify(computed, names), errors)

    examples = tf.TensorSpec([None], tf.string, name="inputs")
    bodies = {BYTES: (serve_bytes(), strings), ARRAY: (serve, images)}
    if whole.files_at:
        for name, restore in task.restored.items():
            bodies[name] = (serve_bytes(restore), strings)
    if "features" in network.outputs:
        bodies[EMBED] = (embed, strings)
    if answer := task.classify(tf.zeros([1, len(names)]), names):
        name = CLASSIFY if "scores" in answer else REGRESS
        bodies[name] = (answer_examples, examples)
    return bodies


def _computing(network: Network, images: tf.TensorSpec) -> Callable:
    """Returns a graph: images → float32 tensors by `network.outputs`."""

    def compute(images: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = keras.tree.flatten(network.model(images, training=False))
        named = zip(network.outputs, answers, strict=True)
        return {key: tf.cast(each, "float32") for key, each in named}

    return tf.function(compute, input_signature=[images], autograph=False)


def _decoding(job: jobs.ExportJob, strings: tf.TensorSpec) -> Callable:
    """Returns a graph: encoded pictures → images and errors."""

    def decode(image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = {"image_size": job.image_size, "resize": job.resize}
        found = encoded.decode(image_bytes, **size, pixels=job.pixels)
        return found.images, found.errors

    return tf.function(decode, input_signature=[strings], autograph=False)


def _with_too_large(errors: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Adds errors [batch] of sizes that are too large, if only claimed."""
    sides = tf.cast(sizes, tf.int64)
    is_large = sides[:, 0] * sides[:, 1] > LARGEST_RESTORED
    text = f"more than {LARGEST_RESTORED:,} pixels, too large for its own size"
    return tf.where(is_large & (errors == ""), text, errors)


def _blanked(
    answer: Mapping[str, tf.Tensor], errors: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Empties the rows of pictures that could not be decoded.

    Numbers become 0, which no decoded picture's probabilities all are, not NaN,
    which makes a whole batch's JSON unreadable; texts become empty.
    """
    found = {}
    for name, values in answer.items():
        good = tf.reshape(errors == "", [-1, *[1] * (values.shape.rank - 1)])
        found[name] = tf.where(good, values, tf.zeros_like(values))
    return found


def _from_examples(serialized: tf.Tensor) -> tf.Tensor:
    """Returns the encoded pictures in Examples; empty where there is none."""
    feature = tf.io.FixedLenFeature([], tf.string, b"")
    found = tf.io.parse_example(serialized, {EXAMPLE_FEATURE: feature})
    return found[EXAMPLE_FEATURE]


def _function(body: Callable, spec: tf.TensorSpec) -> Any:
    # Autograph would look into Keras' layers and lambdas.
    made = tf.function(body, input_signature=[spec], autograph=False)
    return made.get_concrete_function()
