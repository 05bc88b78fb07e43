"""TensorFlow Serving's gRPC PredictionService, with its official stubs."""

import concurrent.futures
import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tf_finetune.serving import (
    failures,
    service,
    service_lookup,
    tensor_info,
)
from tf_finetune.serving.web import request_bodies

# gRPC's code by HTTP status.
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
}
_SIGNATURES = "signature_def"


def start_server(
    services: Sequence[service.Service],
    address: str,
    *,
    max_request_bytes: int,
    max_calls: int,
    timeout_seconds: float,
    budget: request_bodies.ByteBudget,
) -> tuple[grpc.Server, int]:
    """Starts a gRPC server of one or several models.

    Args:
        services: The models.
        address: HOST:PORT; port 0: a free one.
        max_request_bytes: Largest size of a message, and of the arrays that it
            expands to.
        max_calls: Calls at the same time; more are refused.
        timeout_seconds: Age at which a connection accepts no new calls; after
            as much again its running calls end, also one that never sends
            its message. Clients reconnect by themselves.
        budget: Bytes of requests that may be held at the same time.

    Returns:
        The running server and its port.

    Raises:
        RuntimeError: The address cannot be listened on.
    """
    milliseconds = max(1, round(1000 * timeout_seconds))
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_calls),
        maximum_concurrent_rpcs=max_calls,
        options=[
            ("grpc.max_receive_message_length", max_request_bytes),
            # Off: two servers could share the port unnoticed.
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", max_calls),
            ("grpc.max_connection_idle_ms", milliseconds),
            ("grpc.max_connection_age_ms", milliseconds),
            ("grpc.max_connection_age_grace_ms", milliseconds),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionServicer(services, max_request_bytes, budget), server
    )
    port = server.add_insecure_port(address)
    if not port:
        raise RuntimeError(f"{address} cannot be listened on")
    server.start()
    return server, port


def _translate_errors(call: Callable) -> Callable:
    """Decorates a call to translate its errors into gRPC's."""

    @functools.wraps(call)
    def answer(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(self, request, context)
        except failures.RequestError as error:
            code = _STATUS.get(error.status, grpc.StatusCode.INTERNAL)
            message = error.message
        except Exception:
            logging.exception("A gRPC call could not be answered.")
            code = grpc.StatusCode.INTERNAL
            message = "Internal server error; see the server's log."
        return context.abort(code, message)

    return answer


class _PredictionServicer(
    prediction_service_pb2_grpc.PredictionServiceServicer
):
    """PredictionService of models; other calls return UNIMPLEMENTED."""

    def __init__(
        self,
        services: Sequence[service.Service],
        max_bytes: int,
        budget: request_bodies.ByteBudget,
    ) -> None:
        self._services = tuple(services)
        self._max_bytes = max_bytes
        self._budget = budget

    @_translate_errors
    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Computes named tensors from named tensors."""
        served, spec = self._find_model(request.model_spec)
        infos = served.model.signature(spec.signature_name).inputs
        claimed = tensor_info.measure_claimed_bytes(
            request.inputs, infos, served.check_rows
        )
        self._require_within_limit(claimed)
        with contextlib.ExitStack() as ends:
            # The message and the arrays made of it are in memory together.
            with self._budget.reserve(request.ByteSize() + claimed):
                inputs = tensor_info.to_arrays(request.inputs, infos)
                outputs = served.predict(spec.signature_name, inputs, ends)
            response = predict_pb2.PredictResponse(model_spec=spec)
            for name in _filter_outputs(outputs, list(request.output_filter)):
                tensor = tensor_info.from_array(outputs[name])
                response.outputs[name].CopyFrom(tensor)
            # The response counts against its budget until it has been sent.
            gone = ends.pop_all()
            # False: the call has already ended.
            if not context.add_callback(gone.close):
                gone.close()
        return response

    @_translate_errors
    def Classify(
        self,
        request: classification_pb2.ClassificationRequest,
        context: grpc.ServicerContext,
    ) -> classification_pb2.ClassificationResponse:
        """Classifies tf.train.Example messages."""
        served, spec = self._find_model(request.model_spec)
        with self._reserve_examples(served, request) as examples:
            results = served.classify(spec.signature_name, examples)
        response = classification_pb2.ClassificationResponse(model_spec=spec)
        for classes in results:
            one = response.result.classifications.add()
            for label, score in classes:
                one.classes.add(label=label, score=score)
        return response

    @_translate_errors
    def Regress(
        self,
        request: regression_pb2.RegressionRequest,
        context: grpc.ServicerContext,
    ) -> regression_pb2.RegressionResponse:
        """Gives one number for each tf.train.Example message."""
        served, spec = self._find_model(request.model_spec)
        with self._reserve_examples(served, request) as examples:
            values = served.regress(spec.signature_name, examples)
        response = regression_pb2.RegressionResponse(model_spec=spec)
        for value in values:
            response.result.regressions.add(value=value)
        return response

    @_translate_errors
    def GetModelMetadata(
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Returns the signatures."""
        served, spec = self._find_model(request.model_spec)
        fields = list(request.metadata_field)
        if fields != [_SIGNATURES]:
            raise failures.RequestError(
                400,
                f"metadata_field must be [{_SIGNATURES!r}], got {fields}.",
            )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in served.model.get_definitions().items():
            signatures.signature_def[name].CopyFrom(definition)
        spec.signature_name = ""
        response = get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=spec
        )
        response.metadata[_SIGNATURES].Pack(signatures)
        return response

    def _require_within_limit(self, size: int) -> None:
        if size > self._max_bytes:
            raise failures.RequestError(
                413,
                f"The inputs expand to {size} bytes; {self._max_bytes} are "
                "allowed (--max_request_megabytes).",
            )

    @contextlib.contextmanager
    def _reserve_examples(
        self,
        served: service.Service,
        request: classification_pb2.ClassificationRequest
        | regression_pb2.RegressionRequest,
    ) -> Iterator[list[bytes]]:
        """Yields serialized Examples; their bytes are reserved in the block."""
        # Counted before they are merged: a context is repeated in each example.
        served.check_rows(_count_examples(request.input))
        size = _measure_merged_bytes(request.input)
        self._require_within_limit(size)
        with self._budget.reserve(request.ByteSize() + size):
            yield _serialize_examples(request.input)

    def _find_model(
        self, asked: model_pb2.ModelSpec
    ) -> tuple[service.Service, model_pb2.ModelSpec]:
        """Returns the requested model and the spec of the served version."""
        has_version = asked.HasField("version")
        version = asked.version.value if has_version else None
        served = service_lookup.find_service(
            self._services, asked.name, version, asked.version_label
        )
        spec = model_pb2.ModelSpec(
            name=served.model.name,
            signature_name=asked.signature_name or service.DEFAULT_SIGNATURE,
        )
        spec.version.value = served.model.version
        return served, spec


def _count_examples(given: Any) -> int:
    kind = given.WhichOneof("kind")
    return len(getattr(given, kind).examples) if kind else 0


def _measure_merged_bytes(given: Any) -> int:
    """Computes the bytes of the examples after each got the context."""
    if given.WhichOneof("kind") != "example_list_with_context":
        return given.ByteSize()
    chosen = given.example_list_with_context
    context = chosen.context.ByteSize() * len(chosen.examples)
    return context + given.ByteSize()


def _serialize_examples(given: Any) -> list[bytes]:
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
            # Merged last, the example's own features win over the context's.
            whole = tf.train.Example()
            whole.MergeFrom(chosen.context)
            whole.MergeFrom(example)
            merged.append(whole)
        examples = merged
    return [example.SerializeToString() for example in examples]


def _filter_outputs(outputs: dict, names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in outputs]
    if unknown:
        raise failures.RequestError(
            400,
            f"output_filter names {unknown}; the signature has the outputs "
            f"{', '.join(outputs)}.",
        )
    return names or list(outputs)
