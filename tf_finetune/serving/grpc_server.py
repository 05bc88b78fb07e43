"""TensorFlow Serving's gRPC PredictionService, with its official stubs."""

import concurrent.futures
import functools
import math
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tf_finetune.serving import failures, service

_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
}
_SIGNATURES = "signature_def"
_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "bool": "bool_val",
    **dict.fromkeys(["int32", "int16", "int8", "uint8"], "int_val"),
}


def start(
    served: service.Service,
    address: str,
    *,
    max_request_bytes: int,
    max_calls: int,
) -> tuple[grpc.Server, int]:
    """Starts a server; returns it and its port.

    Args:
        served: The model.
        address: Host and port; port 0: a free one.
        max_request_bytes: Size of a message, and of the arrays it stands for.
        max_calls: Calls at the same time; more are refused.

    Raises:
        RuntimeError: The address cannot be listened on.
    """
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_calls),
        maximum_concurrent_rpcs=max_calls,
        options=[
            ("grpc.max_receive_message_length", max_request_bytes),
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Prediction(served, max_request_bytes), server
    )
    port = server.add_insecure_port(address)
    if not port:
        raise RuntimeError(f"{address} cannot be listened on")
    server.start()
    return server, port


def _answering(call: Callable) -> Callable:
    """Turns the errors of a call into gRPC's."""

    @functools.wraps(call)
    def answer(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(self, request)
        except failures.RequestError as error:
            code = _STATUS.get(error.status, grpc.StatusCode.INTERNAL)
            message = error.message
        except Exception:
            logging.exception("A gRPC call could not be answered.")
            code = grpc.StatusCode.INTERNAL
            message = "An error of the server itself; its log has it."
        return context.abort(code, message)

    return answer


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """What is not here answers UNIMPLEMENTED."""

    def __init__(self, served: service.Service, max_bytes: int) -> None:
        self._service = served
        self._max_bytes = max_bytes

    @_answering
    def Predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Computes named tensors from named tensors."""
        spec = self._spec(request.model_spec)
        inputs = {
            name: _array(name, request.inputs[name], self._max_bytes)
            for name in request.inputs
        }
        outputs = self._service.predict(spec.signature_name, inputs)
        wanted = _filtered(outputs, list(request.output_filter))
        response = predict_pb2.PredictResponse(model_spec=spec)
        for name in wanted:
            response.outputs[name].CopyFrom(_tensor(outputs[name]))
        return response

    @_answering
    def Classify(
        self, request: classification_pb2.ClassificationRequest
    ) -> classification_pb2.ClassificationResponse:
        """Classifies tf.train.Example messages."""
        spec = self._spec(request.model_spec)
        results = self._service.classify(
            spec.signature_name, _examples(request.input)
        )
        response = classification_pb2.ClassificationResponse(model_spec=spec)
        for classes in results:
            one = response.result.classifications.add()
            for label, score in classes:
                one.classes.add(label=label, score=score)
        return response

    @_answering
    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Returns the signatures."""
        spec = self._spec(request.model_spec)
        fields = list(request.metadata_field)
        if fields != [_SIGNATURES]:
            raise failures.RequestError(
                400,
                f"metadata_field must be [{_SIGNATURES!r}], got {fields}.",
            )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self._service.model.definitions().items():
            signatures.signature_def[name].CopyFrom(definition)
        spec.signature_name = ""
        response = get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=spec
        )
        response.metadata[_SIGNATURES].Pack(signatures)
        return response

    def _spec(self, asked: model_pb2.ModelSpec) -> model_pb2.ModelSpec:
        """Checks the model asked for; returns the one that answers."""
        has_version = asked.HasField("version")
        version = asked.version.value if has_version else None
        self._service.require(asked.name, version, asked.version_label)
        model = self._service.model
        spec = model_pb2.ModelSpec(
            name=model.name,
            signature_name=asked.signature_name or service.DEFAULT_SIGNATURE,
        )
        spec.version.value = model.version
        return spec


def _array(name: str, tensor: Any, max_bytes: int) -> np.ndarray:
    """Converts a tensor; a message may claim more values than it holds."""
    sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise failures.RequestError(
            400, f"Input {name!r} must have a shape of known sizes."
        )
    try:
        dtype = np.dtype(tf.as_dtype(tensor.dtype).as_numpy_dtype)
        # One value may stand for many, as a broadcast.
        claimed = math.prod(sizes)
        if tensor.string_val and len(tensor.string_val) != claimed:
            raise failures.RequestError(
                400,
                f"Input {name!r} of shape {sizes} must hold {claimed} "
                f"strings, got {len(tensor.string_val)}.",
            )
        if claimed * dtype.itemsize > max_bytes:
            raise failures.RequestError(
                400,
                f"Input {name!r} of shape {sizes} is larger than the "
                f"{max_bytes} bytes a request may have.",
            )
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError) as error:
        raise failures.RequestError(
            400, f"Input {name!r} is no tensor: {error}"
        ) from error


def _tensor(array: np.ndarray) -> Any:
    """Converts an output, values in the field of their type.

    TensorFlow Serving does so, and clients read `float_val`; TensorFlow
    itself would write the bytes of the array.
    """
    field = _FIELDS.get(array.dtype.name)
    if field is None:
        return tf.make_tensor_proto(array)
    tensor = tf.make_tensor_proto(0, dtype=array.dtype, shape=array.shape)
    tensor.ClearField(field)
    getattr(tensor, field).extend(array.ravel().tolist())
    return tensor


def _examples(given: Any) -> list[bytes]:
    kind = given.WhichOneof("kind")
    if kind is None:
        raise failures.RequestError(400, "The input holds no examples.")
    chosen = getattr(given, kind)
    examples = list(chosen.examples)
    if not examples:
        raise failures.RequestError(400, "The input holds no examples.")
    if kind == "example_list_with_context":
        merged = []
        for example in examples:
            whole = tf.train.Example()
            whole.MergeFrom(chosen.context)
            whole.MergeFrom(example)
            merged.append(whole)
        examples = merged
    return [example.SerializeToString() for example in examples]


def _filtered(outputs: dict, names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in outputs]
    if unknown:
        raise failures.RequestError(
            400,
            f"output_filter names {unknown}; the signature has the outputs "
            f"{', '.join(outputs)}.",
        )
    return names or list(outputs)
