"""Responses of the HTTP server."""

import contextlib
import json
from typing import Any

from starlette import responses, types

RETRY_AFTER_SECONDS = 1
_JSON = "application/json"


class HeldResponse(responses.Response):
    """A response whose resources are released once it has been sent."""

    def __init__(self, body: bytes, held: contextlib.ExitStack) -> None:
        """Takes the JSON of the answer.

        Args:
            body: The content.
            held: Closed when the last byte has left, or the client has.
        """
        super().__init__(body, media_type=_JSON)
        self._held = held

    async def __call__(
        self, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        """Sends it."""
        with self._held:
            await super().__call__(scope, receive, send)


def write_json(value: Any) -> responses.Response:
    """Returns an answer that holds a JSON value."""
    content = json.dumps(value, indent=2).encode()
    return responses.Response(content, media_type=_JSON)


def write_error(
    status: int, message: str, *, close: bool = False
) -> responses.Response:
    """Returns the answer to a request that failed.

    A 503 says when to try again, a 405 which methods are possible.

    Args:
        status: The HTTP status.
        message: A sentence for the client.
        close: Whether it is the last answer on its connection.
    """
    headers = {}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if status == 405:
        headers["Allow"] = "GET, POST"
    if close:
        headers["Connection"] = "close"
    content = json.dumps({"error": message}).encode()
    return responses.Response(content, status, headers, _JSON)
