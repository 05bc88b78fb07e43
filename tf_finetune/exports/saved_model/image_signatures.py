"""Signatures of a SavedModel of single pictures.

Every signature is made of TensorFlow's stock operations: it loads with plain
`tf.saved_model.load` and in TensorFlow Serving.
"""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from tf_finetune.data.images import batch_decoding
from tf_finetune.exports import job as jobs
from tf_finetune.exports.saved_model import serving_network as networks
from tf_finetune.exports.saved_model import trackable
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
"""TensorFlow Serving's method name by signature; others have "predict"."""

EXAMPLE_FEATURE = "image_bytes"
"""The name of the encoded picture in a `tf.train.Example`."""

MAX_RESTORED_PIXELS = 50_000_000
"""Largest picture whose answer is resized to its own size, pixels."""


class ImageServable(trackable.TrackableModel):
    """Root object of the SavedModel: weights, class names, functions.

    For inference only; training-time behavior of layers is off.

    Attributes:
        functions: Concrete functions by the name of their signature.
        folded: The number of batch norm layers that are folded.
    """

    def __init__(self, job: jobs.ExportJob, labels: pathlib.Path) -> None:
        network = networks.optimize_network(job)
        super().__init__(network.model, [labels])
        self.functions = {
            name: _make_function(body, spec)
            for name, (body, spec) in _build_bodies(network, job).items()
        }
        self.folded = network.folded


def _build_bodies(
    network: networks.ServingNetwork, job: jobs.ExportJob
) -> dict[str, tuple[Callable, tf.TensorSpec]]:
    """Builds the function of each signature and its input spec."""
    whole = tasks.TASKS.get(job.task).with_decision(job.decision)
    task = whole.network
    size, names = job.image_size, job.class_names
    images = tf.TensorSpec([None, size, size, 3], name="images")
    strings = tf.TensorSpec([None], tf.string, name="image_bytes")

    # Graphs shared by all signatures, because tracing them is slow.
    compute = _trace_network(network, images)
    decode = _trace_decoder(job, strings)
    own_sizes = tf.function(
        batch_decoding.read_sizes, input_signature=[strings], autograph=False
    )

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        computed = compute(images)
        answer = task.serve(computed["predictions"], names)
        if job.out_of_distribution:
            logits = computed["logits"]
            answer["ood_score"] = whole.certainty.ood_score(logits)
        return answer

    def serve_bytes(restore: Callable | None = None) -> Callable:
        def answer_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            images, errors = decode(image_bytes)
            answer = serve(images)
            if restore:
                sizes = own_sizes(image_bytes)
                errors = _add_size_errors(errors, sizes)
                # Size 0 for failed pictures: answers to the others in the batch
                # are padded to the largest size.
                sizes = tf.where(errors[:, tf.newaxis] == "", sizes, 0)
                answer = restore(answer, sizes, job.resize)
            return {**_blank_failed_rows(answer, errors), "error": errors}

        return answer_bytes

    def embed(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images, errors = decode(image_bytes)
        answer = {"features": compute(images)["features"]}
        return {**_blank_failed_rows(answer, errors), "error": errors}

    def answer_examples(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        images, errors = decode(_parse_examples(inputs))
        computed = compute(images)["predictions"]
        return _blank_failed_rows(task.classify(computed, names), errors)

    def serve_array(images: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = serve(images)
        return {k: v for k, v in answer.items() if k not in task.text_outputs}

    examples = tf.TensorSpec([None], tf.string, name="inputs")
    bodies = {BYTES: (serve_bytes(), strings), ARRAY: (serve_array, images)}
    if whole.files_at:
        for name, restore in task.signature_functions.items():
            bodies[name] = (serve_bytes(restore), strings)
    if "features" in network.outputs:
        bodies[EMBED] = (embed, strings)
    # Called once on zeros: the names of its outputs tell which method fits.
    if answer := task.classify(tf.zeros([1, len(names)]), names):
        name = CLASSIFY if "scores" in answer else REGRESS
        bodies[name] = (answer_examples, examples)
    return bodies


def _trace_network(
    network: networks.ServingNetwork, images: tf.TensorSpec
) -> Callable:
    """Makes a graph: images → float32 tensors by `network.outputs`."""

    def compute(images: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = keras.tree.flatten(network.model(images, training=False))
        named = zip(network.outputs, answers, strict=True)
        return {key: tf.cast(each, "float32") for key, each in named}

    return tf.function(compute, input_signature=[images], autograph=False)


def _trace_decoder(job: jobs.ExportJob, strings: tf.TensorSpec) -> Callable:
    """Makes a graph: encoded pictures → images and errors."""

    def decode(image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = {"image_size": job.image_size, "resize": job.resize}
        found = batch_decoding.decode_batch(
            image_bytes, **size, pixels=job.pixels
        )
        return found.images, found.errors

    return tf.function(decode, input_signature=[strings], autograph=False)


def _add_size_errors(errors: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Adds errors [batch] for pictures whose header states too large a size."""
    # int64: the product of two sides can exceed int32.
    sides = tf.cast(sizes, tf.int64)
    is_large = sides[:, 0] * sides[:, 1] > MAX_RESTORED_PIXELS
    text = (
        f"more than {MAX_RESTORED_PIXELS:,} pixels, too large for its own size"
    )
    return tf.where(is_large & (errors == ""), text, errors)


def _blank_failed_rows(
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


def _parse_examples(serialized: tf.Tensor) -> tf.Tensor:
    """Parses the encoded pictures of Examples; empty where there is none."""
    feature = tf.io.FixedLenFeature([], tf.string, b"")
    found = tf.io.parse_example(serialized, {EXAMPLE_FEATURE: feature})
    return found[EXAMPLE_FEATURE]


def _make_function(body: Callable, spec: tf.TensorSpec) -> Any:
    # Autograph would rewrite Keras' layers and lambdas.
    made = tf.function(body, input_signature=[spec], autograph=False)
    return made.get_concrete_function()
