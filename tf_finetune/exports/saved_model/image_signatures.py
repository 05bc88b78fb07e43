"""Signatures of a SavedModel of single pictures or of rows.

Every signature is made of TensorFlow's stock operations: it loads with plain
`tf.saved_model.load` and in TensorFlow Serving.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tf_finetune.data.images import batch_decoding
from tf_finetune.exports import job as jobs
from tf_finetune.exports.saved_model import served_inputs
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
_MODEL, _FINGERPRINT = "saved_model.pb", "fingerprint.pb"


class TrackableModel(tf.__internal__.tracking.AutoTrackable):
    """Variables, lookup tables and files of a model, each tracked directly.

    Keras wraps variables: a session restores a copy under the wrapper, which no
    function reads. Python finds the variable all the same; a session reports
    it as uninitialized, and TensorFlow's converter silently writes NaN. So the
    variables themselves are tracked, under the names by which
    `tf.saved_model.load(…)` returns them. Not a `tf.Module`, which does not
    save its property `variables`.

    Args:
        model: The model whose functions are saved.
        assets: Files to be copied into `assets/`.

    Attributes:
        variables: The weights, as `tf.Variable`. Not `model.variables`, which
            includes the random states of dropout.
        trainable_variables: The weights that training may change.
        non_trainable_variables: The other weights, such as statistics.
        tables: Lookup tables of words.
        assets: Files in `assets/`.
    """

    def __init__(
        self, model: keras.Model, assets: Sequence[pathlib.Path]
    ) -> None:
        """Tracks a model's variables, tables and assets."""
        super().__init__()
        # `value` is the tf.Variable inside of Keras' wrapper.
        self.variables = [each.value for each in model.weights]
        self.trainable_variables = [
            each.value for each in model.trainable_weights
        ]
        self.non_trainable_variables = [
            each.value for each in model.non_trainable_weights
        ]
        self.tables = _find_tables(model)
        self.assets = [tf.saved_model.Asset(str(each)) for each in assets]


class _SignatureBodies:
    """The functions of the signatures; they share graphs traced once."""

    def __init__(
        self, network: networks.ServingNetwork, job: jobs.AnswerFacts
    ) -> None:
        self._job = job
        self._task = tasks.TASKS.get(job.task).with_decision(job.decision)
        self._fields = served_inputs.ServedInputs(job)
        self._encoded = self._fields.specs
        self._has_features = "features" in network.outputs
        self._compute = _trace_network(network, self._fields)
        self._decode = tf.function(
            self._fields.decode,
            input_signature=[self._encoded],
            autograph=False,
        )
        self._read_sizes = tf.function(
            batch_decoding.read_sizes,
            input_signature=[self._encoded[served_inputs.BYTES]],
            autograph=False,
        )

    def build(self) -> dict[str, tuple[Callable, Mapping[str, tf.TensorSpec]]]:
        """Returns the function of each signature with its input specs."""
        network, names = self._task.network, self._job.class_names
        examples = {"inputs": tf.TensorSpec([None], tf.string, name="inputs")}
        bodies = {
            DEFAULT: (self._make_bytes_body(), self._encoded),
            ARRAY: (self._serve_array, self._fields.array_specs),
        }
        if self._task.files_at:
            for name, restore in network.signature_functions.items():
                bodies[name] = (self._make_bytes_body(restore), self._encoded)
        if self._has_features:
            bodies[EMBED] = (self._embed, self._encoded)
        # Called once on zeros: the names of its outputs tell which method fits.
        if answer := network.classify(tf.zeros([1, len(names)]), names):
            name = CLASSIFY if "scores" in answer else REGRESS
            bodies[name] = (self._answer_examples, examples)
        return bodies

    def _serve(self, given: served_inputs.Tensors) -> dict[str, tf.Tensor]:
        computed = self._compute(given)
        answer = self._task.network.serve(
            computed["predictions"], self._job.class_names
        )
        if self._job.out_of_distribution:
            logits = computed["logits"]
            answer["ood_score"] = self._task.certainty.ood_score(logits)
        return answer

    def _make_bytes_body(self, restore: Callable | None = None) -> Callable:
        """Makes the function of a signature that takes encoded pictures.

        Args:
            restore: Resizes the answers to the pictures' own sizes; None: they
                stay as the network gives them.
        """

        def answer_bytes(**given: tf.Tensor) -> dict[str, tf.Tensor]:
            decoded, errors = self._decode(given)
            answer = self._serve(decoded)
            if restore:
                sizes = self._read_sizes(given[served_inputs.BYTES])
                errors = _add_size_errors(errors, sizes)
                # Size 0 for failed pictures: answers to the others in the batch
                # are padded to the largest size.
                sizes = tf.where(errors[:, tf.newaxis] == "", sizes, 0)
                answer = restore(answer, sizes, self._job.resize)
            return {**_blank_failed_rows(answer, errors), "error": errors}

        return answer_bytes

    def _embed(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded, errors = self._decode(given)
        answer = {"features": self._compute(decoded)["features"]}
        return {**_blank_failed_rows(answer, errors), "error": errors}

    def _answer_examples(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded, errors = self._decode(self._fields.parse_examples(inputs))
        answer = self._task.network.classify(
            self._compute(decoded)["predictions"], self._job.class_names
        )
        return _blank_failed_rows(answer, errors)

    def _serve_array(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        answer, texts = self._serve(given), self._task.network.text_outputs
        return {k: v for k, v in answer.items() if k not in texts}


class ImageServable(TrackableModel):
    """Root object of a SavedModel: weights, assets and a function by signature.

    The functions compute inference: training-time behavior of layers is off.

    Args:
        job: The export, whose model is copied.
        assets: Files to be copied into `assets/`.

    Attributes:
        functions: Concrete functions by the name of their signature.
        folded: The number of batch norm layers that are folded.
    """

    def __init__(
        self, job: jobs.ExportJob, assets: Sequence[pathlib.Path]
    ) -> None:
        network = networks.optimize_network(job)
        super().__init__(network.model, assets)
        self.functions = build_functions(network, job)
        self.folded = network.folded


def build_functions(
    network: networks.ServingNetwork, job: jobs.AnswerFacts
) -> dict[str, Any]:
    """Returns the concrete functions of a network by name of signature."""
    bodies = _SignatureBodies(network, job).build()
    # Autograph would rewrite Keras' layers and lambdas.
    return {
        name: tf.function(body, autograph=False).get_concrete_function(**specs)
        for name, (body, specs) in bodies.items()
    }


def set_methods(folder: pathlib.Path, methods: Mapping[str, str]) -> None:
    """Sets method names in a SavedModel and makes its bytes reproducible.

    `tf.saved_model.save` sets the method of every signature to "predict", with
    which TensorFlow Serving does not classify. Maps are written in the order
    of their keys, so that equal exports have equal bytes. `fingerprint.pb` is
    removed: it would no longer match, and it contains a random number; loading
    does not need it.

    Args:
        folder: The SavedModel, changed in place.
        methods: Method name by signature; signatures that it lacks are skipped.
    """
    path = folder / _MODEL
    proto = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    # No argument of `tf.saved_model.save` sets a method name.
    for graph in proto.meta_graphs:
        for name, method in methods.items():
            if name in graph.signature_def:
                graph.signature_def[name].method_name = method
    path.write_bytes(proto.SerializeToString(deterministic=True))
    (folder / _FINGERPRINT).unlink(missing_ok=True)


def read_methods(folder: pathlib.Path) -> dict[str, str]:
    """Reads the method name of each signature of a SavedModel.

    Args:
        folder: The SavedModel.

    Returns:
        Method name by signature, without TensorFlow's own signatures.
    """
    contents = (folder / _MODEL).read_bytes()
    proto = saved_model_pb2.SavedModel.FromString(contents)
    return {
        name: signature.method_name
        for name, signature in proto.meta_graphs[0].signature_def.items()
        # __saved_model_init_op, TensorFlow's own, initializes tables.
        if not name.startswith("__")
    }


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


def _find_tables(
    model: keras.Model,
) -> list[tf.saved_model.experimental.TrackableResource]:
    """Returns the lookup tables of a model's layers, which are not weights."""
    kind = tf.saved_model.experimental.TrackableResource
    held = [
        getattr(layer, "lookup_table", None)
        for layer in model._flatten_layers()
    ]
    return [each for each in held if isinstance(each, kind)]
