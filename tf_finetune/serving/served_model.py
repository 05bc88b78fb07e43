"""Model of a server: named TensorFlow functions, called with arrays."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2

from tf_finetune import terminal_escapes
from tf_finetune.serving import failures, tensor_info

# Node names, stack positions and the failing op in TensorFlow's messages.
_GRAPH_POSITIONS = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Signature:
    """Named function of a SavedModel, with its inputs and outputs.

    Attributes:
        name: Its name in requests.
        inputs: In the order of their names.
        outputs: In the order of their names.
    """

    name: str
    inputs: tuple[tensor_info.TensorInfo, ...]
    outputs: tuple[tensor_info.TensorInfo, ...]

    @property
    def can_batch(self) -> bool:
        """Whether rows of several requests may be computed in one call."""
        return all(each.has_rows for each in (*self.inputs, *self.outputs))

    @property
    def takes_examples(self) -> bool:
        """Whether its one input is `inputs`, serialized tf.train.Examples."""
        names = [each.name for each in self.inputs]
        return names == ["inputs"] and self.inputs[0].is_text

    def require_classify(self) -> None:
        """Raises `RequestError` 400 unless it maps Examples to classes."""
        self._require_examples("classify")
        outputs = {each.name for each in self.outputs}
        if not outputs & {"classes", "scores"}:
            raise failures.RequestError(
                400,
                f"Signature {self.name!r} cannot classify: it must have the "
                f"outputs 'classes' or 'scores', and has "
                f"{', '.join(sorted(outputs))}.",
            )

    def require_regress(self) -> None:
        """Raises `RequestError` 400 unless it maps each Example to a number.

        Source: TensorFlow Serving's regressor.cc: one output "outputs",
        float32, [batch] or [batch, 1].
        """
        self._require_examples("regress")
        found = {each.name: each for each in self.outputs}
        if not _is_scalar_per_row(found.get("outputs")):
            raise failures.RequestError(
                400,
                f"Signature {self.name!r} cannot regress: it must have the "
                f"output 'outputs', one float32 for each example, and has "
                f"{', '.join(sorted(found))}.",
            )

    def _require_examples(self, verb: str) -> None:
        if not self.takes_examples:
            names = [each.name for each in self.inputs]
            raise failures.RequestError(
                400,
                f"Signature {self.name!r} cannot {verb}: it must have one "
                f"string input 'inputs', and has {', '.join(names)}.",
            )


def _is_scalar_per_row(info: tensor_info.TensorInfo | None) -> bool:
    """Returns whether an output can be one number a row; sizes may be open."""
    if info is None or info.dtype != np.float32:
        return False
    if info.shape is None:
        return True
    return info.has_rows and info.shape[1:] in ((), (1,), (None,))


class ServedModel:
    """One version of a model, ready to be called.

    Args:
        functions: Concrete functions by signature, of named tensors.
        definitions: Protocol buffers of the signatures, and of others.
        owner: Object that has the variables and tables of the functions, which
            do not keep them.

    Attributes:
        name: The model's name in requests.
        version: The version's number.
        signatures: Signatures by name.
        labels: The class names in the order of the outputs; empty if there are
            none.
        columns: By input, the names of its table columns in order; empty for
            a model that does not take rows of a table.
        variables: The variables that its functions read, each once.
        folder: The version's folder; None where the model was made in memory.
    """

    def __init__(
        self,
        functions: Mapping[str, Any],
        definitions: Mapping[str, meta_graph_pb2.SignatureDef],
        owner: Any,
        *,
        name: str,
        version: int,
        labels: tuple[str, ...] = (),
        columns: Mapping[str, list[str]] | None = None,
        folder: pathlib.Path | None = None,
    ) -> None:
        """Describes the signatures of the functions."""
        self.name, self.version = name, version
        self.labels, self.columns = labels, dict(columns or {})
        self.folder = folder
        self._functions, self._owner = dict(functions), owner
        self._definitions = dict(definitions)
        held = [v for each in functions.values() for v in each.graph.variables]
        self.variables = [*{id(each): each for each in held}.values()]
        self.signatures = {
            each: _make_signature(each, self._definitions[each])
            for each in sorted(functions)
        }

    def signature(self, name: str) -> Signature:
        """Returns the signature `name`; raises `RequestError` 400 if absent."""
        if name not in self.signatures:
            # The beginning is TensorFlow Serving's own message.
            raise failures.RequestError(
                400,
                f"Serving signature name: {name!r} not found in signature "
                f"def. Known: {', '.join(self.signatures)}.",
            )
        return self.signatures[name]

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Computes the outputs of one batch.

        Args:
            signature: A name in `signatures`.
            inputs: Arrays by name, of the signature's types; strings are bytes
                with dtype object, as in the result.

        Returns:
            Output arrays by name.

        Raises:
            RequestError: 400 if the model refuses the values, 500 if it fails.
        """
        infos = {i.name: i for i in self.signatures[signature].inputs}
        tensors = {
            name: tf.convert_to_tensor(
                array, tf.string if infos[name].is_text else array.dtype
            )
            for name, array in inputs.items()
        }
        try:
            outputs = self._functions[signature](**tensors)
        # InvalidArgument: the values are at fault, not the server.
        except tf.errors.InvalidArgumentError as error:
            raise failures.RequestError(
                400, _simplify_message(error)
            ) from error
        except tf.errors.OpError as error:
            logging.error(
                "The model failed: %s", terminal_escapes.escape(str(error))
            )
            raise failures.RequestError(
                500, _simplify_message(error)
            ) from error
        return {
            name: _convert_to_array(tensor) for name, tensor in outputs.items()
        }

    def get_definitions(self) -> dict[str, meta_graph_pb2.SignatureDef]:
        """Returns a new dictionary of the signatures' protocol buffers."""
        return dict(self._definitions)

    def get_definitions_json(self) -> dict[str, Any]:
        """Returns the signatures by name as JSON values of the REST API."""
        return {
            name: json_format.MessageToDict(
                definition,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name, definition in self._definitions.items()
        }


def _make_signature(name: str, definition: Any) -> Signature:
    def infos(tensors: Mapping) -> tuple[tensor_info.TensorInfo, ...]:
        return tuple(_make_tensor_info(n, tensors[n]) for n in sorted(tensors))

    return Signature(name, infos(definition.inputs), infos(definition.outputs))


def _make_tensor_info(
    name: str, info: meta_graph_pb2.TensorInfo
) -> tensor_info.TensorInfo:
    shape = None
    if not info.tensor_shape.unknown_rank:
        sizes = (dimension.size for dimension in info.tensor_shape.dim)
        # -1 in the protocol buffer: the size is open.
        shape = tuple(None if size < 0 else size for size in sizes)
    dtype = np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype)
    return tensor_info.TensorInfo(name, dtype, shape)


def _convert_to_array(tensor: tf.Tensor) -> np.ndarray:
    value = tensor.numpy()
    # A scalar string comes as bytes, from which NumPy would strip zeros.
    return np.array(value, object) if isinstance(value, bytes) else value


def _simplify_message(error: tf.errors.OpError) -> str:
    """Strips positions in the graph from TensorFlow's message."""
    last = error.message.rpartition("<stack traces unavailable>")[2]
    text = " ".join(_GRAPH_POSITIONS.sub("", last).split())
    return text or type(error).__name__
