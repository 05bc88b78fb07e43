r"""Sends pictures to a served model, over REST and over gRPC.

    python scripts/client.py picture.jpg --model=flowers
    python scripts/client.py picture.jpg --model=flowers --rest=none \
        --grpc=127.0.0.1:8500

Works with `python -m tf_finetune.serve` and with TensorFlow Serving itself
alike. REST needs Python alone; gRPC needs TensorFlow and the official stubs:
pip install grpcio && pip install --no-deps tensorflow-serving-api==2.21.0
"""

import argparse
import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request
from typing import Any


def over_rest(
    pictures: list[bytes], *, address: str, model: str, signature: str
) -> list[dict[str, Any]]:
    """Returns what the model says, an object a picture."""
    instances = [{"b64": base64.b64encode(p).decode()} for p in pictures]
    request = urllib.request.Request(
        f"{address.rstrip('/')}/v1/models/{model}:predict",
        data=json.dumps(
            {"signature_name": signature, "instances": instances}
        ).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        # Both servers say in JSON what was wrong.
        answer = json.load(error)
        sys.exit(f"Error: {address} answers {error.code}: {answer['error']}")
    except urllib.error.URLError as error:
        sys.exit(f"Error: no answer from {address}: {error.reason}")


def over_grpc(
    pictures: list[bytes], *, address: str, model: str, signature: str
) -> list[dict[str, Any]]:
    """Returns what the model says, an object a picture."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        try:
            name = _string_input(stub, model, signature)
            tensor = tf.make_tensor_proto(pictures, dtype=tf.string)
            request.inputs[name].CopyFrom(tensor)
            response = stub.Predict(request, timeout=60)
        except grpc.RpcError as error:
            sys.exit(
                f"Error: {address} answers {error.code().name}: "
                f"{error.details()}"
            )
    columns = {
        name: _listed(tf.make_ndarray(tensor))
        for name, tensor in response.outputs.items()
    }
    return [
        {name: column[row] for name, column in sorted(columns.items())}
        for row in range(len(pictures))
    ]


def _string_input(stub: Any, model: str, signature: str) -> str:
    """Asks the server what the input of encoded pictures is called."""
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2

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


def _listed(array: Any) -> list:
    if array.dtype == object:
        return [_text(value) for value in array.tolist()]
    return array.tolist()


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    return value.decode(errors="replace")


def main() -> None:
    """Prints one line of JSON for each picture and protocol."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument(
        "--rest", default="http://127.0.0.1:8501", help="address, or none"
    )
    parser.add_argument("--grpc", default="none", help="HOST:PORT, or none")
    parser.add_argument(
        "--model", required=True, help="its name, as the server prints it"
    )
    parser.add_argument("--signature", default="serving_default")
    arguments = parser.parse_args()
    contents = [path.read_bytes() for path in arguments.pictures]
    for protocol, address, ask in (
        ("rest", arguments.rest, over_rest),
        ("grpc", arguments.grpc, over_grpc),
    ):
        if address == "none":
            continue
        rows = ask(
            contents,
            address=address,
            model=arguments.model,
            signature=arguments.signature,
        )
        for path, row in zip(arguments.pictures, rows, strict=True):
            line = {"picture": str(path), "protocol": protocol, "answer": row}
            print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main()
