"""Bounds on each request, as ASGI middleware."""

import asyncio

from absl import logging
from starlette import datastructures, types

from tf_finetune import terminal_escapes
from tf_finetune.serving import failures
from tf_finetune.serving.web import (
    body_headers,
    origin_check,
    request_bodies,
    responses,
)

TOO_SLOW = "The request did not come in time."
# Known to HTTP and of no use here: 405. Others are unknown methods: 501.
_OTHER_METHODS = ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
_VERSIONS = ("1.0", "1.1")


class BoundedRequest:
    """Reads a request whole, in time and within its size, or refuses it.

    The application behind it gets the body in one piece. A refusal is the last
    answer of its connection, since the rest of the body may not have come in.
    """

    def __init__(
        self,
        app: types.ASGIApp,
        *,
        limits: request_bodies.ClientLimits,
        budget: request_bodies.ByteBudget,
        hosts: frozenset[str] | None,
    ) -> None:
        """Wraps an application.

        Args:
            app: Behind it; its `state.pool` unpacks bodies.
            limits: Of a body's size.
            budget: Bytes of bodies that may be held at the same time.
            hosts: The server's names, see `origin_check.list_expected_hosts`.
        """
        self._app = app
        self._max_bytes = limits.max_request_bytes
        self._budget = budget
        self._hosts = hosts

    async def __call__(
        self, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        """Answers one request."""
        _log(scope)
        with request_bodies.BodyReader(self._budget, self._max_bytes) as body:
            # Around reading alone: an answer that was sent in part must not
            # be followed by another one.
            try:
                whole = await self._read(scope, receive, body)
            except failures.RequestError as error:
                refusal = responses.write_error(
                    error.status, error.message, close=True
                )
            else:
                if whole is not None:
                    await self._app(scope, _replay(whole), send)
                return
        await refusal(scope, receive, send)

    async def _read(
        self,
        scope: types.Scope,
        receive: types.Receive,
        body: request_bodies.BodyReader,
    ) -> bytes | None:
        """Returns the body, unpacked; None: the client has left."""
        headers = datastructures.Headers(scope=scope)
        _check_first_line(scope["http_version"], scope["method"])
        if scope["http_version"] == "1.0" and "Transfer-Encoding" in headers:
            # Whoever passed it on may not have known chunks (RFC 9112, 6.1).
            raise failures.RequestError(400, "HTTP/1.0 has no chunks.")
        origin_check.check_origin(headers, self._hosts, scope["http_version"])
        body_headers.check_media_type(headers)
        body_headers.check_length(
            headers, self._max_bytes, scope["method"] == "GET"
        )
        coding = body_headers.read_content_coding(headers)
        try:
            # The time began with the first byte of the request's head.
            async with asyncio.timeout_at(scope["state"]["until"]):
                whole = await body.read(receive)
        except TimeoutError as error:
            raise failures.RequestError(408, TOO_SLOW) from error
        if whole is None or coding is None:
            return whole
        return await asyncio.get_running_loop().run_in_executor(
            scope["app"].state.pool, body.unpack, whole, coding
        )


def _check_first_line(version: str, method: str) -> None:
    if version not in _VERSIONS:
        raise failures.RequestError(
            505, f"HTTP/{version} is not spoken here; HTTP/1.1 is."
        )
    if method in _OTHER_METHODS:
        raise failures.RequestError(405, f"{method} is not possible here.")
    if method not in ("GET", "POST"):
        raise failures.RequestError(501, f"Unsupported method ({method!r}).")


def _replay(body: bytes) -> types.Receive:
    """Returns the messages of a request whose body has been read."""

    async def receive() -> types.Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _log(scope: types.Scope) -> None:
    if not logging.vlog_is_on(logging.DEBUG):
        return
    # Whoever asks chooses the path, and may fake a line with it.
    line = terminal_escapes.escape(
        f"{scope['method']} {scope['raw_path'].decode('latin-1')}"
    )
    logging.debug("%s: %s", scope["client"], line)
