"""Responses of the HTTP server."""

import base64
import contextlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette import responses, types

from tf_finetune.serving import failures
from tf_finetune.serving.web import json_input

RETRY_AFTER_SECONDS = 1
_JSON = "application/json"


class HeldResponse(responses.Response):
    """JSON response that holds resources until it has been sent.

    Args:
        body: The encoded JSON.
        held: Closed when the last byte has been sent, or the client has left.
    """

    def __init__(self, body: bytes, held: contextlib.ExitStack) -> None:
        """Stores a JSON body and the resources that it holds."""
        super().__init__(body, media_type=_JSON)
        self._held = held

    async def __call__(
        self, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        """Sends the response, then releases its resources."""
        with self._held:
            await super().__call__(scope, receive, send)


def write_json(value: Any) -> responses.Response:
    """Builds a response with status 200 from a JSON value."""
    content = json.dumps(value, indent=2).encode()
    return responses.Response(content, media_type=_JSON)


def write_error(
    status: int, message: str, *, close: bool = False
) -> responses.Response:
    """Builds the error response of a failed request, `{"error": message}`.

    A 503 says when to try again, a 405 which methods are possible.

    Args:
        status: The HTTP status.
        message: A sentence for the client.
        close: Whether the connection ends with this response.
    """
    headers = {}
    # RFC 9110, section 10.2.3: seconds to wait.
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    # RFC 9110, section 15.5.6: a 405 must name the possible methods.
    if status == 405:
        headers["Allow"] = "GET, POST"
    if close:
        headers["Connection"] = "close"
    content = json.dumps({"error": message}).encode()
    return responses.Response(content, status, headers, _JSON)


def dump_outputs(
    outputs: Mapping[str, np.ndarray], layout: json_input.Format
) -> bytes:
    """Encodes the response to a predict request as JSON.

    By the rules of TensorFlow Serving:
    https://www.tensorflow.org/tfx/serving/api_rest, "Predict API" and "JSON
    mapping".

    A single output is written without its name. Strings are text, with U+FFFD
    for bytes that are not UTF-8, unless the output's name ends in `_bytes`:
    then they are `{"b64": …}`.

    Args:
        outputs: Arrays by name, at least one; strings are bytes with dtype
            object.
        layout: "row" writes a list, one element for each row, as "predictions";
            "column" writes each output in one piece as "outputs".

    Raises:
        RequestError: 400, for "row" outputs differ in their first dimension.
    """
    values = {
        name: _convert_output(name, outputs[name]) for name in sorted(outputs)
    }
    if layout == "column":
        whole = values if len(values) > 1 else next(iter(values.values()))
        return json.dumps({"outputs": whole}).encode()
    # Row format needs one element of every output for each row.
    lengths = {array.shape[:1] for array in outputs.values()}
    if len(lengths) > 1 or () in lengths:
        raise failures.RequestError(
            400,
            "The outputs have no common number of rows; ask for them in the "
            "column format, with 'inputs' instead of 'instances'.",
        )
    if len(values) == 1:
        rows = next(iter(values.values()))
    else:
        rows = [
            dict(zip(values, row, strict=True))
            for row in zip(*values.values(), strict=True)
        ]
    return json.dumps({"predictions": rows}).encode()


def _convert_output(name: str, array: np.ndarray) -> Any:
    """Converts an array to nested lists, float32 in its shortest decimals."""
    if array.dtype == object:
        as_bytes = name.endswith("_bytes")
        flat = [
            {"b64": base64.b64encode(value).decode()}
            if as_bytes
            else value.decode(errors="replace")
            for value in array.ravel()
        ]
        return _nest_values(flat, array.shape)
    if array.dtype in (np.float32, np.float16):
        # float(value) would give float64's digits: 0.10000000149 for 0.1.
        flat = [float(str(value)) for value in array.ravel()]
        return _nest_values(flat, array.shape)
    return array.tolist()


def _nest_values(flat: list, shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    if 0 in shape:
        return np.empty(shape).tolist()
    # From the innermost dimension outwards.
    for size in reversed(shape[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat
