"""Client over gRPC, with TensorFlow and the official stubs."""

import os
import sys
from typing import Any

from tf_finetune import environment

_FEATURE = "image_bytes"


def send_images(
    pictures: list[bytes],
    *,
    address: str,
    model: str,
    method: str,
    signature: str,
) -> list[Any]:
    """Sends pictures to a server over gRPC and returns the result of each.

    Modules that need TensorFlow are imported in the functions, so that REST
    works without it. Ends the process with a message if the server does not
    answer or answers with an error.

    Args:
        pictures: Contents of picture files.
        address: HOST:PORT.
        model: The model's name on the server.
        method: "predict", "classify" or "regress".
        signature: Signature of the model.

    Returns:
        For each picture the same as `rest_client.send_images`, but of predict
        always a dictionary.
    """
    # Before grpc is imported, which reads it.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    environment.start_tensorflow()
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    # An answer may exceed the 4 MB that gRPC receives by default.
    unbounded = [("grpc.max_receive_message_length", -1)]
    ways = {"predict": _predict, "classify": _classify, "regress": _regress}
    with grpc.insecure_channel(address, options=unbounded) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            return ways[method](stub, pictures, model, signature)
        except grpc.RpcError as error:
            sys.exit(
                f"Error: {address} answers {error.code().name}: "
                f"{error.details()}"
            )


def _predict(
    stub: Any, pictures: list[bytes], model: str, signature: str
) -> list[dict[str, Any]]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    name = _find_string_input(stub, model, signature)
    tensor = tf.make_tensor_proto(pictures, dtype=tf.string)
    request.inputs[name].CopyFrom(tensor)
    response = stub.Predict(request, timeout=60)
    columns = {
        name: _convert_to_list(tf.make_ndarray(tensor), name)
        for name, tensor in response.outputs.items()
    }
    return [
        {name: column[row] for name, column in sorted(columns.items())}
        for row in range(len(pictures))
    ]


def _classify(
    stub: Any, pictures: list[bytes], model: str, signature: str
) -> list[list[list[Any]]]:
    from tensorflow_serving.apis import classification_pb2

    request = classification_pb2.ClassificationRequest()
    _fill_request(request, pictures, model, signature)
    response = stub.Classify(request, timeout=60)
    return [
        [[each.label, _round_to_shortest(each.score)] for each in one.classes]
        for one in response.result.classifications
    ]


def _regress(
    stub: Any, pictures: list[bytes], model: str, signature: str
) -> list[float]:
    from tensorflow_serving.apis import regression_pb2

    request = regression_pb2.RegressionRequest()
    _fill_request(request, pictures, model, signature)
    response = stub.Regress(request, timeout=60)
    return [
        _round_to_shortest(each.value) for each in response.result.regressions
    ]


def _fill_request(
    request: Any, pictures: list[bytes], model: str, signature: str
) -> None:
    """Adds pictures to a request as Examples."""
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    examples = request.input.example_list.examples
    for picture in pictures:
        feature = examples.add().features.feature[_FEATURE]
        feature.bytes_list.value.append(picture)


def _find_string_input(stub: Any, model: str, signature: str) -> str:
    """Finds the name of the signature's one string input."""
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2

    # Over REST a single input needs no name; a PredictRequest always does.
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = model
    request.metadata_field.append("signature_def")
    response = stub.GetModelMetadata(request, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    inputs = signatures.signature_def[signature].inputs
    found = [n for n in inputs if inputs[n].dtype == types_pb2.DT_STRING]
    if len(found) != 1:
        sys.exit(
            f"Error: signature {signature!r} takes no encoded pictures; it "
            f"has the inputs {sorted(inputs)}."
        )
    return found[0]


def _convert_to_list(array: Any, name: str) -> list:
    if array.dtype == object:
        return _decode_text(array.tolist(), name)
    if array.dtype.name in ("float16", "float32"):
        # Through str: the shortest decimals, as REST returns them.
        return array.astype(str).astype(float).tolist()
    return array.tolist()


def _decode_text(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_decode_text(each, name) for each in value]
    # TensorFlow Serving's convention for outputs that are not text.
    if name.endswith("_bytes"):
        return value
    return value.decode(errors="replace")


def _round_to_shortest(value: float) -> float:
    """Rounds a float32 to its shortest decimal, as REST returns it."""
    import numpy as np

    return float(str(np.float32(value)))
