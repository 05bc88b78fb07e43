"""Responses of the HTTP server."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

RETRY_AFTER_SECONDS = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Response:
    """HTTP response and a callback after it was sent.

    Attributes:
        status: The HTTP status.
        body: Its content.
        content_type: Its media type.
        headers: Further header fields.
        on_sent: Called after it has been sent, or sending has failed.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    on_sent: Callable[[], None] = lambda: None


def make_json_response(value: Any) -> Response:
    """Makes a response of a JSON value."""
    return Response(body=json.dumps(value, indent=2).encode())


def make_error_response(status: int, message: str) -> Response:
    """Makes the response to a request that failed.

    A 503 has Retry-After, a 405 has Allow.

    Source: RFC 9110, sections 10.2.3 and 10.2.1.
    """
    headers: tuple[tuple[str, str], ...] = ()
    if status == 503:
        headers = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
    if status == 405:
        headers = (("Allow", "GET, POST"),)
    return Response(
        status=status,
        body=json.dumps({"error": message}).encode(),
        headers=headers,
    )


def make_overload_response() -> bytes:
    """Makes the bytes of a whole response that refuses a connection."""
    error = make_error_response(503, "Too many connections.")
    # Composed by hand: the connection gets no handler and no thread.
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
        f"Retry-After: {RETRY_AFTER_SECONDS}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(error.body)}\r\n\r\n"
    )
    return head.encode() + error.body
