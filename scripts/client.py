r"""Sends pictures to a served model, over REST and over gRPC.

    python scripts/client.py picture.jpg --model=flowers --method=classify
    python scripts/client.py street.jpg --model=roads --signature=serve_png \
        --output=masks --rest=none --grpc=127.0.0.1:8500

Works with `python -m tf_finetune.serve` and with TensorFlow Serving itself
alike. REST needs Python alone; gRPC needs TensorFlow and the official stubs:
pip install grpcio && pip install --no-deps tensorflow-serving-api==2.21.0

`--method=classify` and `regress` send tf.train.Examples with the picture as
`image_bytes`. Of outputs whose names end in `_bytes`, such as masks, the sizes
are printed; `--output=FOLDER` writes them as files.
"""

import argparse
import base64
import http.client
import json
import pathlib
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

_FEATURE = "image_bytes"
_SIGNATURES = {
    "predict": "serving_default",
    "classify": "classify",
    "regress": "regress",
}
_SUFFIXES = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"))


def over_rest(
    pictures: list[bytes],
    *,
    address: str,
    model: str,
    method: str,
    signature: str,
) -> list[Any]:
    """Returns an object, [label, score] pairs or a number for each picture."""
    encoded = [{"b64": base64.b64encode(p).decode()} for p in pictures]
    body = {"examples": [{_FEATURE: each} for each in encoded]}
    if method == "predict":
        body = {"instances": encoded}
    answer = _answer(
        address,
        f"/v1/models/{model}:{method}",
        {"signature_name": signature, **body},
    )
    key = "predictions" if method == "predict" else "results"
    rows = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(rows, list) or len(rows) != len(pictures):
        sys.exit(
            f"Error: {address} answers without {key} for {len(pictures)} "
            "pictures."
        )
    return [_decoded(row) for row in rows] if method == "predict" else rows


def _answer(address: str, path: str, body: dict[str, Any]) -> Any:
    """Returns the JSON of an answer; ends the program if there is none."""
    try:
        request = urllib.request.Request(
            address.rstrip("/") + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"Error: {address} answers {error.code}: {_reason(error)}")
    except (OSError, http.client.HTTPException) as error:
        said = getattr(error, "reason", error)
        sys.exit(f"Error: no answer from {address}: {said}")
    except ValueError as error:
        sys.exit(f"Error: no answer in JSON from {address}: {error}")


def _reason(error: urllib.error.HTTPError) -> str:
    """Returns what was wrong: both servers say it in JSON, a proxy may not."""
    try:
        return json.load(error)["error"]
    except (OSError, http.client.HTTPException, ValueError, LookupError,
            TypeError):  # fmt: skip
        return error.reason


def over_grpc(
    pictures: list[bytes],
    *,
    address: str,
    model: str,
    method: str,
    signature: str,
) -> list[Any]:
    """Returns the same as `over_rest`."""
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    # A mask may be larger than the 4 MB that gRPC takes by default.
    unbounded = [("grpc.max_receive_message_length", -1)]
    ask = {"predict": _predict, "classify": _classify, "regress": _regress}
    with grpc.insecure_channel(address, options=unbounded) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            return ask[method](stub, pictures, model, signature)
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
    name = _string_input(stub, model, signature)
    tensor = tf.make_tensor_proto(pictures, dtype=tf.string)
    request.inputs[name].CopyFrom(tensor)
    response = stub.Predict(request, timeout=60)
    columns = {
        name: _listed(tf.make_ndarray(tensor), name)
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
    _fill(request, pictures, model, signature)
    response = stub.Classify(request, timeout=60)
    return [
        [[each.label, _shortest(each.score)] for each in one.classes]
        for one in response.result.classifications
    ]


def _regress(
    stub: Any, pictures: list[bytes], model: str, signature: str
) -> list[float]:
    from tensorflow_serving.apis import regression_pb2

    request = regression_pb2.RegressionRequest()
    _fill(request, pictures, model, signature)
    response = stub.Regress(request, timeout=60)
    return [_shortest(each.value) for each in response.result.regressions]


def _fill(
    request: Any, pictures: list[bytes], model: str, signature: str
) -> None:
    """Puts pictures into a request that takes Examples."""
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    examples = request.input.example_list.examples
    for picture in pictures:
        feature = examples.add().features.feature[_FEATURE]
        feature.bytes_list.value.append(picture)


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


def _listed(array: Any, name: str) -> list:
    if array.dtype == object:
        return _text(array.tolist(), name)
    if array.dtype.name in ("float16", "float32"):
        # The shortest decimals, as REST gives them.
        return array.astype(str).astype(float).tolist()
    return array.tolist()


def _text(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_text(each, name) for each in value]
    if name.endswith("_bytes"):
        return value
    return value.decode(errors="replace")


def _shortest(value: float) -> float:
    """Returns the shortest decimal of a float32, as REST gives it."""
    import numpy as np

    return float(str(np.float32(value)))


def _decoded(value: Any) -> Any:
    """Returns a JSON value with bytes where it holds base64."""
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    return {name: _decoded(each) for name, each in value.items()}


def shown(value: Any, stem: str, folder: pathlib.Path | None) -> Any:
    """Returns a value that JSON can hold, files in place of bytes.

    Args:
        value: What the model says.
        stem: How files of it begin.
        folder: Where they are written; None: their size is told instead.
    """
    if isinstance(value, list):
        return [
            shown(each, f"{stem}_{number}", folder)
            for number, each in enumerate(value)
        ]
    if isinstance(value, dict):
        # The server chose the names: they must not lead out of the folder.
        ends = {
            name: re.sub(r"[^\w.-]", "_", name.removesuffix("_bytes"))
            for name in value
        }
        return {
            name: shown(each, f"{stem}_{ends[name]}", folder)
            for name, each in value.items()
        }
    if not isinstance(value, bytes):
        return value
    if not value or folder is None:
        return f"{len(value)} bytes"
    suffix = [each for start, each in _SUFFIXES if value.startswith(start)]
    path = folder / f"{stem}{(suffix or ['.bin'])[0]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value)
    return str(path)


def stems(paths: Sequence[pathlib.Path]) -> list[str]:
    """Returns how files of each picture begin, none of them twice."""
    own = [path.stem for path in paths]
    if len(set(own)) == len(own):
        return own
    return [f"{number}_{each}" for number, each in enumerate(own)]


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        sys.exit(f"Error: {path} cannot be read: {error.strerror}")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
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
    parser.add_argument("--method", choices=_SIGNATURES, default="predict")
    parser.add_argument(
        "--signature",
        help="by default "
        + ", ".join(f"{name} for {of}" for of, name in _SIGNATURES.items()),
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        help="a folder for outputs whose names end in _bytes",
    )
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Prints one line of JSON for each picture and protocol."""
    arguments = _arguments(given)
    contents = [_read(path) for path in arguments.pictures]
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
            method=arguments.method,
            signature=arguments.signature or _SIGNATURES[arguments.method],
        )
        paths = arguments.pictures
        for path, stem, row in zip(paths, stems(paths), rows, strict=True):
            said = shown(row, f"{stem}_{protocol}", arguments.output)
            line = {"picture": str(path), "protocol": protocol, "answer": said}
            print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main()
