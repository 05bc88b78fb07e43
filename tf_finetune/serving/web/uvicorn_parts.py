"""Parts under uvicorn's protocol: a strict parser, a holding transport."""

import asyncio
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http import httptools_impl

from tf_finetune.serving import failures

_MAX_HEAD_BYTES = 1 << 14
# Requests that wait for the answers to those before them on a connection.
_MAX_PIPELINE = 32


class StrictParser(httptools_impl.HttpToolsProtocol):
    """Parser of a connection's requests that is as strict as RFC 9112.

    llhttp, below httptools, refuses malformed lines and lengths by itself. It
    bounds no sizes, and takes targets with a host and requests for an Upgrade,
    which are for proxies and other protocols.

    Attributes:
        in_message: Whether a request has begun and not ended.
        in_body: Whether a request's head has ended, and its body has not.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Passes the arguments on to uvicorn's protocol."""
        super().__init__(*arguments, **keywords)
        self.in_message = False
        self.in_body = False
        self._head_bytes = 0
        self._unparsed = 0  # Bytes in which no part of a request has ended.

    def parse(self, data: bytes) -> failures.RequestError | None:
        """Parses received bytes and starts or queues the requests in them.

        Args:
            data: The bytes, of any part of one or more requests.

        Returns:
            The reason why they are refused; None if they are accepted. Requests
            before the refused bytes have begun, or wait in `pipeline`.
        """
        self._unparsed += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            # The parser wraps the errors that its callbacks raise.
            if isinstance(error.__context__, failures.RequestError):
                return error.__context__
            return failures.RequestError(
                400, f"The request is malformed: {error}."
            )
        # A long value, a chunk's extension, or empty lines without an end.
        if self._unparsed > _MAX_HEAD_BYTES:
            return _too_long("A part of the request")
        return None

    def on_message_begin(self) -> None:
        """Resets the counted bytes: a request's head begins."""
        self.in_message, self.in_body = True, False
        self._head_bytes = self._unparsed = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Adds a part of the target; raises 414 beyond 16 KiB of head."""
        self._head_bytes += len(url)
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise _too_long("The first line", 414)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header field; raises 431 beyond 16 KiB of head.

        Trailer fields after a body are only counted.
        """
        self._unparsed = 0
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise _too_long("The header")
        if not self.in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Checks a complete head; uvicorn answers or queues the request.

        Raises:
            RequestError: The target is no path, a body follows an Upgrade, or
                too many requests wait on this connection.
        """
        self._unparsed = 0
        if not self.url.startswith(b"/"):
            # Else the host there might be another one than that of Host.
            raise failures.RequestError(400, "The target must be a path: /…")
        if self.parser.should_upgrade() and self._has_body():
            # The parser would take the body for another protocol's bytes.
            raise failures.RequestError(
                501, "Upgrade with a body is not possible; ask in HTTP/1.1."
            )
        if len(self.pipeline) >= _MAX_PIPELINE:
            raise failures.RequestError(503, "Too many requests at once.")
        super().on_headers_complete()
        self.in_body = True

    def on_chunk_header(self) -> None:
        """Resets the count of unparsed bytes as a chunk begins."""
        self._unparsed = 0

    def on_body(self, body: bytes) -> None:
        """Passes a part of the body to uvicorn."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Marks the request as read completely."""
        self.in_message = self.in_body = False
        self._unparsed = 0
        super().on_message_complete()

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # A server may ignore the wish (RFC 9110, section 7.8).
                data = data[upgrade.args[0] :]

    def _has_body(self) -> bool:
        return any(
            name == b"transfer-encoding"
            # Zeros alone are no body.
            or (name == b"content-length" and value.strip(b"0"))
            for name, value in self.headers
        )


class _Connection(Protocol):
    closing: bool

    def close(self) -> None: ...


class Transport:
    """Wrapper of an asyncio transport that can hold bytes back.

    It is closed as its connection decides; other attributes are those of the
    transport.

    Args:
        transport: The transport of asyncio.
        connection: Has `close`, which closes it, and `closing`.

    Attributes:
        holds: Whether `write` keeps bytes until the next call without it, as
            for the head of an answer, which leaves together with the body.
    """

    def __init__(
        self, transport: asyncio.Transport, connection: "_Connection"
    ) -> None:
        """Wraps a transport."""
        self._transport = transport
        self._held = b""
        self.holds = False
        self.close = connection.close
        self.is_closing = lambda: connection.closing or transport.is_closing()

    def write(self, data: bytes) -> None:
        """Sends bytes, after those held back before.

        While `holds` is set it sends nothing and holds the bytes back, too.
        """
        if self.holds:
            self._held += data
        else:
            self._transport.write(self._held + data)
            self._held = b""

    def flush(self) -> None:
        """Sends bytes held back and clears `holds`.

        For answers without a body, where no `write` follows that of the head.
        """
        self.holds = False
        if self._held:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _too_long(part: str, status: int = 431) -> failures.RequestError:
    return failures.RequestError(
        status, f"{part} has more than {_MAX_HEAD_BYTES} bytes."
    )
