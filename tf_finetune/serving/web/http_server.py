"""HTTP server with limits on connections, request sizes and times.

The standard library's threading server has no such limits, and its shutdown
does not wait for running requests.
"""

import contextlib
import http.server
import io
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from typing import Any

from absl import logging

from tf_finetune import terminal_escapes
from tf_finetune.serving import failures
from tf_finetune.serving.web import (
    body_headers,
    origin_check,
    request_bodies,
    request_head,
    responses,
)

Answer = Callable[[str, str, bytes], responses.Response]

# Limits of reading the rest of a refused request, see `_refuse`.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1 << 26
_TOO_SLOW = "The request did not come in time."


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Answers with a function; `serve_forever` runs until `stop`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        answer: Answer,
        limits: request_bodies.ClientLimits,
        budget: request_bodies.ByteBudget,
    ) -> None:
        """Binds the address and listens.

        Args:
            address: Host and port; port 0: a free one.
            answer: Maps method, path and body to the response; never raises.
            limits: Limits of each client.
            budget: Bytes of bodies that may be held at the same time.

        Raises:
            OSError: The address cannot be listened on.
        """
        self.answer = answer
        self.limits = limits
        self.budget = budget
        self.stopping = False
        self._slots = threading.BoundedSemaphore(limits.max_connections)
        self._open: set[_Handler] = set()
        self._changed = threading.Condition()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Binds without the base class's reverse DNS look-up."""
        asked = self.server_address[0]
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
        self.hosts = origin_check.list_expected_hosts(asked, self.server_name)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Gives a new connection a thread, or refuses it."""
        if self._slots.acquire(blocking=False):
            try:
                super().process_request(request, client_address)
            except BaseException:  # No thread could be started.
                self._slots.release()
                raise
            return
        # Fits into the socket's buffer, so sending does not block.
        request.setblocking(False)
        request.send(responses.make_overload_response())
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves one connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs the error of a connection; most often the client left."""
        logging.debug("A connection broke.", exc_info=True)

    def stop(self, grace_seconds: float) -> None:
        """Stops accepting connections and waits for running requests."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        until = time.monotonic() + grace_seconds
        with self._changed:
            for handler in self._open:
                handler.leave_if_idle()
            while self._open and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def add_connection(self, handler: "_Handler") -> None:
        """Adds a connection to those that are open."""
        with self._changed:
            self._open.add(handler)

    def closed(self, handler: "_Handler") -> None:
        """Removes a connection from those that are open."""
        with self._changed:
            self._open.discard(handler)
            self._changed.notify_all()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Connection of a client: reads and answers its requests in turn."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "tf_finetune"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._busy = False
        self._input = request_bodies.DeadlineInput(self.connection)
        self._stream = io.BufferedReader(self._input, 1 << 16)
        # Head and body of an answer leave together, in one timed call.
        self.wfile = io.BytesIO()
        self.server.add_connection(self)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.closed(self)

    def leave_if_idle(self) -> None:
        """Ends the wait for another request; a received one is answered."""
        if not self._busy:
            # The client may have reset the connection by now.
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RD)

    def handle_one_request(self) -> None:
        self._busy = False
        self._input.allow(self.server.limits.timeout_seconds)
        try:
            self.close_connection = True
            if self.server.stopping or not self._stream.peek(1):
                return
            self._busy = True
            self._input.allow(self.server.limits.timeout_seconds)
            if self._read_head():
                getattr(
                    self, f"do_{self.command}", self._refuse_unknown_method
                )()
        except OSError:
            self.close_connection = True

    def _read_head(self) -> bool:
        """Reads the head; returns whether there is a request to answer."""
        self.command, self.requestline = "", ""
        self.request_version = self.protocol_version
        try:
            line, fields = request_head.read_head(self._stream)
        except failures.RequestError as error:
            refusal = error
        except TimeoutError:
            refusal = failures.RequestError(408, _TOO_SLOW)
        else:
            self.raw_requestline, self.rfile = line, io.BytesIO(fields)
            return self.parse_request()
        self._refuse(refusal.status, refusal.message)
        return False

    def do_GET(self) -> None:
        self._read_and_answer(may_be_empty=True)

    def do_POST(self) -> None:
        self._read_and_answer(may_be_empty=False)

    def _read_and_answer(self, may_be_empty: bool) -> None:
        limits = self.server.limits
        with request_bodies.BodyReader(
            self._stream, self.server.budget, limits.max_request_bytes
        ) as body:
            # Only reading is guarded: a response that was sent in part must
            # not be followed by another one.
            try:
                read = body.read(
                    self._check_head(may_be_empty),
                    body_headers.read_content_coding(self.headers),
                )
            except failures.RequestError as error:
                refusal = error
            except TimeoutError:
                refusal = failures.RequestError(408, _TOO_SLOW)
            else:
                self._answer(read)
                return
        self._refuse(refusal.status, refusal.message)

    def _check_head(self, may_be_empty: bool) -> int | None:
        """Checks the header fields; returns the length of the body."""
        origin_check.check_origin(
            self.headers, self.server.hosts, self.request_version
        )
        body_headers.check_media_type(self.headers)
        return body_headers.read_length(
            self.headers, self.server.limits.max_request_bytes, may_be_empty
        )

    def _refuse_method(self) -> None:
        self._refuse(405, f"{self.command} is not supported.")

    do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse_method

    def _refuse_unknown_method(self) -> None:
        self._refuse(501, f"Unsupported method ({self.command!r}).")

    def handle_expect_100(self) -> bool:
        """Answers Expect: 100-continue, unless the request is refused."""
        try:
            self._check_head(may_be_empty=True)
        except failures.RequestError as error:
            self._refuse(error.status, error.message)
            return False
        super().handle_expect_100()
        self._transmit()
        return True

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Answers malformed HTTP with an error in JSON, too."""
        self.request_version = "HTTP/1.1"  # HTTP/0.9 would drop the header.
        self._refuse(code, message or "Malformed request.")

    def log_message(self, format: str, *args: Any) -> None:
        """Logs a request at debug level."""
        # Escaped: a client could fake a line of the log with its path.
        line = terminal_escapes.escape(format % args)
        logging.debug("%s: %s", self.address_string(), line)

    def _answer(self, body: bytes) -> None:
        path, _, _ = self.path.partition("?")
        response = self.server.answer(self.command, path, body)
        try:
            self._send(response)
        finally:
            response.on_sent()

    def _send(self, response: responses.Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        for name, value in response.headers:
            self.send_header(name, value)
        if self.close_connection or self.server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self._transmit()

    def _transmit(self) -> None:
        # Reading has set the timeout to the rest of its own time.
        self.connection.settimeout(self.server.limits.timeout_seconds)
        written, self.wfile = self.wfile.getvalue(), io.BytesIO()
        self.connection.sendall(written)

    def _refuse(self, status: int, message: str) -> None:
        """Responds before the request is read, and ends the connection."""
        self.close_connection = True
        self._send(responses.make_error_response(status, message))
        # Closing at once would reset the connection, and a client that is still
        # sending would lose the response.
        self.connection.shutdown(socket.SHUT_WR)
        self._input.allow(_LINGER_SECONDS)
        left = _LINGER_BYTES
        while left > 0 and (block := self._stream.read1(1 << 16)):
            left -= len(block)
