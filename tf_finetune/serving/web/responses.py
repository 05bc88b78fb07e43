"""Answers of the HTTP server."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

RETRY_AFTER_SECONDS = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Response:
    """An answer.

    Attributes:
        status: The HTTP status.
        body: Its content.
        content_type: What the content is.
        headers: Further header fields.
        sent: Called when it has been sent, or could not be.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    sent: Callable[[], None] = lambda: None


def of_json(value: Any) -> Response:
    """Returns an answer that holds a JSON value."""
    return Response(body=json.dumps(value, indent=2).encode())


def of_error(status: int, message: str) -> Response:
    """Returns the answer to a request that failed.

    A 503 says when to try again, a 405 what is possible.
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


def too_many_connections() -> bytes:
    """Returns the whole answer, with its head, that refuses a connection."""
    error = of_error(503, "Too many connections.")
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
        f"Retry-After: {RETRY_AFTER_SECONDS}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(error.body)}\r\n\r\n"
    )
    return head.encode() + error.body
