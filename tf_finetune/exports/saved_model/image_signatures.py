"""Signatures of a SavedModel of single pictures or of rows.

Every signature is made of TensorFlow's stock operations: it loads with plain
`tf.saved_model.load` and in TensorFlow Serving.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_finetune.data.images import batch_decoding
from tf_finetune.exports import job as jobs
from tf_finetune.exports.saved_model import served_inputs, trackable
from tf_finetune.exports.saved_model import serving_network as networks
from tf_finetune.tasks import catalog as tasks

DEFAULT, ARRAY, EMBED, CLASSIFY, REGRESS = (
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

MAX_RESTORED_PIXELS = 50_000_000
"""Largest picture whose answer is resized to its own size, pixels."""


class ImageServable(trackable.TrackableModel):
    """Root object of the SavedModel: weights, class names, functions.

    For inference only; training-time behavior of layers is off.

    Attributes:
        functions: Concrete functions by the name of their signature.
        folded: The number of batch norm layers that are folded.
    """

    def __init__(
        self, job: jobs.ExportJob, assets: Sequence[pathlib.Path]
    ) -> None:
        network = networks.optimize_network(job)
        super().__init__(network.model, assets)
        self.functions = {
            name: _make_function(body, specs)
            for name, (body, specs) in _build_bodies(network, job).items()
        }
        self.folded = network.folded


def _build_bodies(
    network: networks.ServingNetwork, job: jobs.ExportJob
) -> dict[str, tuple[Callable, Mapping[str, tf.TensorSpec]]]:
    """Builds the function of each signature and its input specs."""
    whole = tasks.TASKS.get(job.task).with_decision(job.decision)
    task, names = whole.network, job.class_names
    fields = served_inputs.ServedInputs(job)
    encoded = fields.specs

    # Graphs shared by all signatures, because tracing them is slow.
    compute = _trace_network(network, fields)
    decode = tf.function(
        fields.decode, input_signature=[encoded], autograph=False
    )
    own_sizes = tf.function(
        batch_decoding.read_sizes,
        input_signature=[encoded[served_inputs.BYTES]],
        autograph=False,
    )

    def serve(given: served_inputs.Tensors) -> dict[str, tf.Tensor]:
        computed = compute(given)
        answer = task.serve(computed["predictions"], names)
        if job.out_of_distribution:
            logits = computed["logits"]
            answer["ood_score"] = whole.certainty.ood_score(logits)
        return answer

    def serve_bytes(restore: Callable | None = None) -> Callable:
        def answer_bytes(**given: tf.Tensor) -> dict[str, tf.Tensor]:
            decoded, errors = decode(given)
            answer = serve(decoded)
            if restore:
                sizes = own_sizes(given[served_inputs.BYTES])
                errors = _add_size_errors(errors, sizes)
                # Size 0 for failed pictures: answers to the others in the batch
                # are padded to the largest size.
                sizes = tf.where(errors[:, tf.newaxis] == "", sizes, 0)
                answer = restore(answer, sizes, job.resize)
            return {**_blank_failed_rows(answer, errors), "error": errors}

        return answer_bytes

    def embed(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded, errors = decode(given)
        answer = {"features": compute(decoded)["features"]}
        return {**_blank_failed_rows(answer, errors), "error": errors}

    def answer_examples(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded, errors = decode(fields.parse_examples(inputs))
        computed = compute(decoded)["predictions"]
        return _blank_failed_rows(task.classify(computed, names), errors)

    def serve_array(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = serve(given)
        return {k: v for k, v in answer.items() if k not in task.text_outputs}

    examples = {"inputs": tf.TensorSpec([None], tf.string, name="inputs")}
    bodies = {
        DEFAULT: (serve_bytes(), encoded),
        ARRAY: (serve_array, fields.array_specs),
    }
    if whole.files_at:
        for name, restore in task.signature_functions.items():
            bodies[name] = (serve_bytes(restore), encoded)
    if "features" in network.outputs:
        bodies[EMBED] = (embed, encoded)
    # Called once on zeros: the names of its outputs tell which method fits.
    if answer := task.classify(tf.zeros([1, len(names)]), names):
        name = CLASSIFY if "scores" in answer else REGRESS
        bodies[name] = (answer_examples, examples)
    return bodies


def _trace_network(
    network: networks.ServingNetwork, fields: served_inputs.ServedInputs
) -> Callable:
    """Makes a graph: decoded inputs → float32 tensors by `network.outputs`."""

    def compute(given: served_inputs.Tensors) -> dict[str, tf.Tensor]:
        answers = keras.tree.flatten(
            network.model(fields.feed(given), training=False)
        )
        named = zip(network.outputs, answers, strict=True)
        return {key: tf.cast(each, "float32") for key, each in named}

    return tf.function(
        compute, input_signature=[fields.array_specs], autograph=False
    )


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


def _make_function(body: Callable, specs: Mapping[str, tf.TensorSpec]) -> Any:
    # Autograph would rewrite Keras' layers and lambdas.
    return tf.function(body, autograph=False).get_concrete_function(**specs)
