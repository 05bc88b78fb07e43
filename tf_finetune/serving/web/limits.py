"""Bounds on each request, as ASGI middleware; the check of its origin."""

import asyncio
import concurrent.futures
import ipaddress
import re
from typing import TYPE_CHECKING

from absl import logging
from starlette import datastructures, types

from tf_finetune import terminal_escapes
from tf_finetune.serving import failures
from tf_finetune.serving.web import request_bodies, responses

if TYPE_CHECKING:
    from starlette import datastructures


TOO_SLOW = "The request did not come in time."
# Known to HTTP and of no use here: 405. Others are unknown methods: 501.
_OTHER_METHODS = ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
_VERSIONS = ("1.0", "1.1")
# Source: RFC 9110, section 7.2; no user information, which would hide a name.
_HOST = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.%]*:[0-9a-f:.%]*)\]"
    r"|(?P<name>[\w.~!$&'()*+,;=%-]*))(?::\d*)?",
    re.ASCII,
)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class BoundedRequest:
    """ASGI middleware that reads a whole request within limits or refuses it.

    The application behind it gets the body in one piece. A refusal is the last
    answer of its connection, since the rest of the body may not have come in.

    Args:
        app: The ASGI application that gets the request, with `pool` in
            `scope["state"]`.
        limits: Has the largest size of a body in bytes.
        budget: Counter of the bytes that all bodies in memory may have.
        hosts: The server's host names, see `list_expected_hosts`.
        pool: Executor whose threads decompress bodies.
    """

    def __init__(
        self,
        app: types.ASGIApp,
        *,
        limits: request_bodies.ClientLimits,
        budget: request_bodies.ByteBudget,
        hosts: frozenset[str] | None,
        pool: concurrent.futures.Executor,
    ) -> None:
        """Wraps an application."""
        self._app = app
        self._max_bytes = limits.max_request_bytes
        self._budget = budget
        self._hosts = hosts
        self._pool = pool

    async def __call__(
        self, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        """Passes one request on within the bounds, or refuses it."""
        _log(scope)
        scope["state"]["pool"] = self._pool
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
        check_origin(headers, self._hosts, scope["http_version"])
        request_bodies.check_media_type(headers)
        request_bodies.check_length(
            headers, self._max_bytes, scope["method"] == "GET"
        )
        coding = request_bodies.read_content_coding(headers)
        if not request_bodies.has_body(headers):
            return await body.read(receive)
        try:
            # The time began with the first byte of the request's head.
            async with asyncio.timeout_at(scope["state"]["until"]):
                whole = await body.read(receive)
        except TimeoutError as error:
            raise failures.RequestError(408, TOO_SLOW) from error
        if whole is None or coding is None:
            return whole
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, body.unpack, whole, coding
        )


def list_expected_hosts(asked: str, bound: str) -> frozenset[str] | None:
    """Lists the host names under which this server may be addressed.

    Args:
        asked: The address to listen on, as the user gave it.
        bound: The IP address that the server is bound to.

    Returns:
        Names in lower case; None, which allows any name, if `bound` is not a
        loopback address, so that other machines have access.
    """
    # The part behind % is the zone of an IPv6 address (RFC 4007).
    if not ipaddress.ip_address(bound.partition("%")[0]).is_loopback:
        return None
    return frozenset({*_LOOPBACK_NAMES, asked.lower(), bound})


def check_origin(
    headers: "datastructures.Headers",
    hosts: frozenset[str] | None,
    version: str,
) -> None:
    """Rejects a request that a web page of another origin sent.

    A browser sends requests for any page that it shows, also to this machine.
    It names the page in Origin. If a page's own host name was made to resolve
    to this machine (DNS rebinding), Host has that name. Programs send no
    Origin, and pass; browsers always send one with a POST.

    Args:
        headers: The request's header fields.
        hosts: Host names that are allowed in Host, in lower case, as
            `list_expected_hosts` returns them; None: any.
        version: The HTTP version without "HTTP/", as in ASGI's
            `http_version`: "1.0" or "1.1". Host is required for "1.1" only.

    Raises:
        RequestError: 403, Host is not in `hosts`, or Origin is not that of
            Host; 400, Host is missing, given twice or malformed.
    """
    named = headers.getlist("Host")
    # RFC 9112, section 3.2: 400 where Host is missing or given twice.
    if len(named) > 1:
        raise failures.RequestError(400, "Host is given twice.")
    if not named and version == "1.1":
        raise failures.RequestError(400, "The header field Host is missing.")
    host = named[0].strip().lower() if named else ""
    found = _HOST.fullmatch(host)
    if not found:
        raise failures.RequestError(
            400, f"Host must be NAME or NAME:PORT, got {host[:100]!r}."
        )
    name = found["ipv6"] or found["name"]
    if named and hosts is not None and name not in hosts:
        raise failures.RequestError(
            403,
            f"Host must be one of {', '.join(sorted(hosts))}, got "
            f"{host[:100]!r}.",
        )
    for origin in headers.getlist("Origin"):
        # "null", the origin of files and of sandboxed frames, is another one,
        # too.
        if origin.strip().lower() not in (f"http://{host}", f"https://{host}"):
            raise failures.RequestError(
                403,
                "Web pages of other origins have no access to this server, got "
                f"Origin {origin[:100]!r}.",
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
