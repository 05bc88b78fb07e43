"""REST API of TensorFlow Serving: routes a request to its model.

Source: https://www.tensorflow.org/tfx/serving/api_rest
"""

import contextlib
import dataclasses
import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from starlette.responses import Response

from tf_finetune.serving import (
    failures,
    served_model,
    service,
    service_lookup,
)
from tf_finetune.serving.web import json_input, json_values, responses

_MODEL = (
    r"/v1/models/(?P<name>[^/:]+)"
    r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
)
_POST = re.compile(rf"{_MODEL}:(?P<verb>predict|classify|regress)", re.I)
_GET = re.compile(rf"{_MODEL}(?P<verb>/metadata)?", re.I)
_MAX_VERSION_DIGITS = 18  # It is an int64.
# Bytes from which on writing JSON takes long enough to delay other requests.
_LARGE_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Known:
    """Answers about a model, which are the same each time."""

    status: Response
    metadata: Response


class RestApi:
    """TensorFlow Serving's REST API of one or several models.

    Their addresses begin with /v1/models/.

    Args:
        services: The models, at least one.
    """

    def __init__(self, services: Sequence[service.Service]) -> None:
        self._services = tuple(services)
        # Built once: a monitor asks for them many times a second.
        self._known = {
            each.model.name: _Known(
                status=responses.write_json(_make_status(each.model)),
                metadata=responses.write_json(_make_metadata(each.model)),
            )
            for each in services
        }
        # One at a time: JSON takes many times its size in memory while it is
        # read or written, and Python does no two documents at once anyway.
        # Small answers do not wait for large ones.
        self._reading = threading.Lock()
        self._writing = threading.Lock()

    def answer(self, method: str, path: str, body: bytes) -> Response:
        """Computes the response to one request; errors become error responses.

        Args:
            method: "GET" or "POST".
            path: The path as sent, without the query.
            body: The decompressed body; empty for GET.
        """
        try:
            return self._answer(method, path, body)
        except failures.RequestError as error:
            return responses.write_error(error.status, error.message)
        except Exception:
            logging.exception("A request could not be answered.")
            return responses.write_error(
                500, "An error of the server itself; its log has it."
            )

    def _answer(self, method: str, path: str, body: bytes) -> Response:
        if not path.lower().startswith("/v1/"):
            raise failures.RequestError(
                404, "Not found. Available are / and /v1/models/NAME."
            )
        found = (_POST if method == "POST" else _GET).fullmatch(path)
        if not found:
            raise failures.RequestError(
                400, f"Malformed request: {method} {path[:200]}"
            )
        served, verb = self._find_model(found), found["verb"]
        if method == "GET":
            known = self._known[served.model.name]
            return known.metadata if verb else known.status
        if verb.lower() == "predict":
            return self._predict(served, body)
        if verb.lower() == "classify":
            return self._classify(served, body)
        return self._regress(served, body)

    def _find_model(self, found: re.Match) -> service.Service:
        version = found["version"]
        if version and len(version) > _MAX_VERSION_DIGITS:
            raise failures.RequestError(
                400, f"Failed to convert version: {version[:40]} to numeric."
            )
        return service_lookup.find_service(
            self._services,
            urllib.parse.unquote(found["name"]),
            int(version) if version else None,
            found["label"] or "",
        )

    def _predict(self, served: service.Service, body: bytes) -> Response:
        with self._reading:
            document = json_input.parse_body(body)
            name = json_input.read_signature_name(document)
            inputs = served.model.signature(name).inputs
            _require_strings(served.model, document, name)
            arrays, layout = json_input.to_arrays(
                document, inputs, served.check_rows
            )
            # The JSON document is larger than the arrays made of it.
            del document
        with contextlib.ExitStack() as ends:
            outputs = served.predict(name, arrays, ends)
            large = _count_bytes(outputs) > _LARGE_BYTES
            with self._writing if large else contextlib.nullcontext():
                written = responses.dump_outputs(outputs, layout)
            # From here on the response releases them, once it is sent.
            return responses.HeldResponse(written, ends.pop_all())

    def _classify(self, served: service.Service, body: bytes) -> Response:
        name, encoded = self._read_examples(
            served, body, served_model.Signature.require_classify
        )
        results = served.classify(name, encoded)
        return responses.write_json({"results": results})

    def _regress(self, served: service.Service, body: bytes) -> Response:
        name, encoded = self._read_examples(
            served, body, served_model.Signature.require_regress
        )
        results = served.regress(name, encoded)
        return responses.write_json({"results": results})

    def _read_examples(
        self,
        served: service.Service,
        body: bytes,
        require: Callable[[served_model.Signature], None],
    ) -> tuple[str, list[bytes]]:
        """Reads the signature's name and the examples of a request."""
        with self._reading:
            document = json_input.parse_body(body)
            name = json_input.read_signature_name(document)
            require(served.model.signature(name))
            return name, json_values.serialize_examples(
                document, served.check_rows
            )


def _require_strings(
    model: served_model.ServedModel, document: Mapping[str, Any], name: str
) -> None:
    """Raises `RequestError` for numbers if only strings are taken."""
    inputs = model.signature(name).inputs
    if not all(each.is_text for each in inputs):
        return
    if type(json_input.find_first_value(document)) not in (int, float):
        return
    others = [
        each.name
        for each in model.signatures.values()
        if not any(info.is_text for info in each.inputs)
    ]
    hint = f" Numbers go to: {', '.join(others)}." if others else ""
    raise failures.RequestError(
        400,
        f'Signature {name!r} takes encoded pictures, {{"b64": "…"}}, or '
        f'strings, got numbers.{hint} "signature_name" chooses.',
    )


def _make_status(model: served_model.ServedModel) -> dict[str, Any]:
    return {
        "model_version_status": [
            {
                "version": str(model.version),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


def _make_metadata(model: served_model.ServedModel) -> dict[str, Any]:
    return {
        "model_spec": {
            "name": model.name,
            "signature_name": "",
            "version": str(model.version),
        },
        "metadata": {
            "signature_def": {"signature_def": model.get_definitions_json()}
        },
    }


def _count_bytes(outputs: Mapping[str, np.ndarray]) -> int:
    """Computes the bytes of arrays, the contents of strings included."""
    return sum(
        sum(map(len, each.flat)) if each.dtype == object else each.nbytes
        for each in outputs.values()
    )
