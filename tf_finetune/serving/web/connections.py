"""Connections of uvicorn, bounded in number, time and size of a head.

uvicorn bounds neither how long the head of a request may take nor its size,
and answers malformed bytes at once, ahead of the requests before them.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from starlette import types
from uvicorn.protocols.http import httptools_impl

from tf_finetune.serving import failures
from tf_finetune.serving.web import (
    limits,
    request_bodies,
    responses,
    uvicorn_parts,
)

# Closing at once would reset the connection, and a client that still sends
# would lose the answer.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1 << 26
_BLOCK = 1 << 18


class Connection(uvicorn_parts.StrictParser):
    """Connection of a client that sends one request after the other.

    Answers leave in the order of their requests, each once: after malformed
    bytes the requests before them are answered, then an error, and then the
    connection ends.

    Args:
        *arguments: Positional arguments of uvicorn's protocol.
        bounds: Limits of a client's use of the server.
        places: The open connections that count against the largest number; one
            set for all connections of a server.
        **keywords: Keyword arguments of uvicorn's protocol.
    """

    def __init__(
        self,
        *arguments: Any,
        bounds: request_bodies.ClientLimits,
        places: set["Connection"],
        **keywords: Any,
    ) -> None:
        """Prepares for a client."""
        super().__init__(*arguments, **keywords)
        # uvicorn calls `app`: each request goes through `_answer` first.
        self._application, self.app = self.app, self._answer
        self._bounds = bounds
        self._places = places
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False  # A head has begun, and no request is running.
        self._until = 0.0  # End of its time, by the loop's clock.
        self._running: httptools_impl.RequestResponseCycle | None = None
        self._refusal: failures.RequestError | None = None
        self._ended = False  # The client sends no more.
        self._lost = False
        self._discarded = 0
        self.closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Counts the connection, or refuses it with 503 if it is too many."""
        self._socket = transport
        super().connection_made(uvicorn_parts.Transport(transport, self))
        if len(self._places) < self._bounds.max_connections:
            self._places.add(self)
            # No request has begun: there is nothing to answer when the time is
            # over.
            self._allow(self._bounds.timeout_seconds, transport.abort)
            return
        self.closing = True
        transport.write(
            self._write(failures.RequestError(503, "Too many connections."))
        )
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timers and tells the running request of the end."""
        self._lost = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        # A request that is still computed keeps its place.
        if self._running is None:
            self._places.discard(self)
        else:
            self._disconnect(self._running)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses bytes and begins requests; discards bytes if it is ending."""
        if self.closing or self._refusal:
            # Read and dropped, so that the client comes to read its answer.
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self._socket.abort()
            return
        self._unset_keepalive_if_required()
        if self._running is None and not self._in_head:
            self._enter_head()
        if error := self.parse(data):
            self._refuse_in_turn(error)
        # Most heads come in one piece and need no timer.
        elif self._in_head and self._timer is None:
            self._timer = self.loop.call_at(self._until, self._time_out)

    def eof_received(self) -> bool:
        """Handles a client that sends no more but still reads answers.

        Returns:
            Whether to keep the connection open for answers.
        """
        self._ended = True
        if self.closing:
            return False
        if self.in_message and not self._refusal:
            self._refuse_in_turn(
                failures.RequestError(400, "The request ends too early.")
            )
        return self._running is not None or self.closing

    def close(self) -> None:
        """Closes the connection after the client has received the response."""
        if self.closing:
            return
        self.transport.flush()
        self.closing = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        if self._ended:
            self._socket.close()
            self._allow(self._bounds.timeout_seconds, self._socket.abort)
            return
        # Half-closed first (RFC 9112, section 9.6).
        with contextlib.suppress(OSError):  # The client may have left.
            self._socket.write_eof()
        # Reading goes on to discard what the client still sends.
        self.flow.resume_reading()
        unsent = self._socket.get_write_buffer_size()
        seconds = self._bounds.timeout_seconds if unsent else _LINGER_SECONDS
        self._allow(seconds, self._socket.abort)

    def shutdown(self) -> None:
        """Ends the connection once the request under way is answered."""
        if self._running is not None:
            super().shutdown()
            return
        self._stop_timer()
        self.closing = True
        self._socket.close()
        self._allow(self._bounds.timeout_seconds, self._socket.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Aborts a connection that has waited too long for the next request."""
        self._socket.abort()

    def on_headers_complete(self) -> None:
        """Begins the request whose head is complete, if none is running."""
        super().on_headers_complete()
        if self._running is None:
            self._begin(self.cycle)

    def _begin(self, cycle: httptools_impl.RequestResponseCycle) -> None:
        # The time of the head goes on for the body.
        if not self._in_head:
            self._until = self.loop.time() + self._bounds.timeout_seconds
        cycle.scope["state"]["until"] = self._until
        self._in_head = False
        self._stop_timer()
        self._running = cycle

    async def _answer(
        self, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        async def send_in_time(message: types.Message) -> None:
            self.transport.holds = message["type"] == "http.response.start"
            for piece in _divide(message):
                # uvicorn waits for a client that does not read.
                if self.flow.write_paused and self._timer is None:
                    self._allow(
                        self._bounds.timeout_seconds, self._socket.abort
                    )
                await send(piece)

        try:
            await self._application(scope, receive, send_in_time)
        finally:
            if self._running is not None and self._running.scope is scope:
                self._running = None  # It ends without a whole answer.
                # It was computed to its end even if the client has left.
                if self._lost:
                    self._places.discard(self)

    def on_response_complete(self) -> None:
        """Begins the next request, or ends the connection if none can come."""
        self._running = None
        self.transport.flush()
        if not self.closing:
            self._stop_timer()
        # uvicorn, below, starts no other one on a transport that is closing.
        if self.pipeline and not self.transport.is_closing():
            # uvicorn appends on the left, so that the last is the oldest.
            self._begin(self.pipeline[-1][0])
        super().on_response_complete()
        if self._running is not None or self.closing or self._lost:
            return
        if self._refusal:
            self._refuse(self._refusal)
        elif self._ended:
            self.close()
        elif self.in_message:
            self._unset_keepalive_if_required()
            self._enter_head()
            self._timer = self.loop.call_at(self._until, self._time_out)

    def _enter_head(self) -> None:
        """Begins the time of a request, with the first byte of its head."""
        self._in_head = True
        self._until = self.loop.time() + self._bounds.timeout_seconds
        self._stop_timer()

    def _refuse_in_turn(self, error: failures.RequestError) -> None:
        """Refuses the current request, after those before it are answered."""
        if self.in_body:
            self._disconnect(self.cycle)
            if self.cycle is self._running:
                self._running = None
                # Another status line would be taken for a part of the answer.
                if self.cycle.response_started:
                    self._socket.abort()
                    return
            else:
                # The newest, which is this one.
                self.pipeline.popleft()
        if self._running is None:
            self._refuse(error)
        else:
            self._refusal = error
            self.flow.pause_reading()

    def _refuse(self, error: failures.RequestError) -> None:
        self._socket.write(self._write(error))
        self.close()

    def _write(self, error: failures.RequestError) -> bytes:
        response = responses.write_error(
            error.status, error.message, close=True
        )
        fields = self.server_state.default_headers + response.raw_headers
        return b"".join(
            [
                httptools_impl.STATUS_LINE[error.status],
                *(b"%s: %s\r\n" % field for field in fields),
                b"\r\n",
                response.body,
            ]
        )

    def _time_out(self) -> None:
        self._refuse_in_turn(failures.RequestError(408, limits.TOO_SLOW))

    def _disconnect(self, cycle: httptools_impl.RequestResponseCycle) -> None:
        cycle.disconnected = True
        cycle.message_event.set()

    def _allow(self, seconds: float, then: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _divide(message: types.Message) -> Iterator[types.Message]:
    """Yields a message in parts.

    Before it takes the next part uvicorn waits until the client has read most
    of the one before, so that a large answer counts as sent when it is.
    """
    body = message.get("body", b"")
    if len(body) <= _BLOCK:
        yield message
        return
    for start in range(0, len(body), _BLOCK):
        block = body[start : start + _BLOCK]
        yield {**message, "body": block, "more_body": True}
    yield {**message, "body": b""}
