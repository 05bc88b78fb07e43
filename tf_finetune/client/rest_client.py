"""Client over REST, with the standard library only."""

import base64
import http.client
import json
import sys
import urllib.error
import urllib.request
from typing import Any

_FEATURE = "image_bytes"


def send_images(
    pictures: list[bytes],
    *,
    address: str,
    model: str,
    method: str,
    signature: str,
) -> list[Any]:
    """Sends pictures to a server over REST and returns the result of each.

    Ends the process with a message if the server does not answer, answers
    with an error, or has no result for each picture.

    Args:
        pictures: Contents of picture files.
        address: http://HOST:PORT.
        model: The model's name on the server.
        method: "predict", "classify" or "regress".
        signature: Signature of the model.

    Returns:
        For each picture a dictionary of outputs by name, or the output itself
        if there is only one (predict); pairs [label, score] (classify); or a
        number (regress).
    """
    # JSON has no bytes; {"b64": …} is TensorFlow Serving's form of them.
    encoded = [{"b64": base64.b64encode(p).decode()} for p in pictures]
    body = {"examples": [{_FEATURE: each} for each in encoded]}
    if method == "predict":
        body = {"instances": encoded}
    answer = _post_json(
        address,
        f"/v1/models/{model}:{method}",
        {"signature_name": signature, **body},
    )
    # Keys of TensorFlow Serving's REST API: predict, and classify or regress.
    key = "predictions" if method == "predict" else "results"
    rows = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(rows, list) or len(rows) != len(pictures):
        sys.exit(
            f"Error: the response of {address} has no {key!r} for "
            f"{len(pictures)} pictures."
        )
    return (
        [_decode_base64(row) for row in rows] if method == "predict" else rows
    )


def _post_json(address: str, path: str, body: dict[str, Any]) -> Any:
    """Posts JSON and returns the JSON response; exits if there is none."""
    try:
        request = urllib.request.Request(
            address.rstrip("/") + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(
            f"Error: {address} answers {error.code}: {_read_reason(error)}"
        )
    except (OSError, http.client.HTTPException) as error:
        said = getattr(error, "reason", error)
        sys.exit(f"Error: no answer from {address}: {said}")
    except ValueError as error:
        sys.exit(f"Error: no answer in JSON from {address}: {error}")


def _read_reason(error: urllib.error.HTTPError) -> str:
    """Reads the reason of an error: JSON of both servers, not of a proxy."""
    try:
        return json.load(error)["error"]
    except (OSError, http.client.HTTPException, ValueError, LookupError,
            TypeError):  # fmt: skip
        return error.reason


def _decode_base64(value: Any) -> Any:
    """Decodes base64 objects in a JSON value to bytes."""
    if isinstance(value, list):
        return [_decode_base64(each) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    return {name: _decode_base64(each) for name, each in value.items()}
