"""Reading what a client sends, within limits of size and time."""

import contextlib
import email.message
import io
import re
import socket
import threading
import time
from collections.abc import Iterator

from tf_finetune.serving import failures

_BLOCK = 1 << 16
_MAX_HEAD_BYTES = 1 << 14
_LONGEST_CHUNK_LINE = 1024
_MAX_TRAILERS = 20
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n]*)?\r?\n")


class TimedInput(io.RawIOBase):
    """A connection's incoming bytes, up to a point in time.

    The time is that of the whole request: a client that sends a byte now and
    then gains nothing by it.
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._until = 0.0

    def allow(self, seconds: float) -> None:
        """Sets how long reading may take from now on, all in all."""
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        """Tells that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:
        """Reads what is there; raises `TimeoutError` when the time is over."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client is too slow")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class Budget:
    """Bytes of requests that are held at the same time."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def held(self, amount: int) -> Iterator[None]:
        """Counts bytes that are there while the context lasts; as `take`."""
        self.take(amount)
        try:
            yield
        finally:
            self.give(amount)

    def take(self, amount: int) -> None:
        """Counts bytes that have come in.

        Raises:
            RequestError: 503, all requests together hold too many.
        """
        with self._lock:
            if amount > self._left:
                raise failures.RequestError(
                    503, "Too many large requests at once. Try again later."
                )
            self._left -= amount

    def give(self, amount: int) -> None:
        """Counts bytes that have gone."""
        with self._lock:
            self._left += amount


def read_head(stream: io.BufferedReader) -> tuple[bytes, bytes]:
    """Returns a request's first line, and its header fields with the end.

    Raises:
        RequestError: It ends early, or is larger than 16 KiB.
        TimeoutError: The client is too slow.
    """
    first = stream.readline(_MAX_HEAD_BYTES)
    if len(first) == _MAX_HEAD_BYTES:
        raise failures.RequestError(414, "The first line is too long.")
    lines, left = [first], _MAX_HEAD_BYTES - len(first)
    while lines[-1] not in (b"\r\n", b"\n"):
        lines.append(stream.readline(left))
        left -= len(lines[-1])
        if not left:
            raise failures.RequestError(
                431, f"The header has more than {_MAX_HEAD_BYTES} bytes."
            )
        if not lines[-1].endswith(b"\n"):
            raise failures.RequestError(400, "The header ends too early.")
    return first, b"".join(lines[1:])


def declared_length(
    headers: email.message.Message, max_bytes: int, may_be_empty: bool
) -> int | None:
    """Returns how long a body is; None if it comes in chunks.

    Args:
        headers: The request's.
        max_bytes: How long it may be.
        may_be_empty: Whether no length means no body.

    Raises:
        RequestError: Its length is not given, twice, wrong or too large.
    """
    lengths = headers.get_all("Content-Length", [])
    encodings = headers.get_all("Transfer-Encoding", [])
    if encodings:
        # Both would let two servers see two different requests.
        if lengths:
            raise failures.RequestError(
                400, "Content-Length and Transfer-Encoding cannot both be."
            )
        if [each.strip().lower() for each in encodings] != ["chunked"]:
            raise failures.RequestError(
                501, "The only Transfer-Encoding known here is chunked."
            )
        return None
    if not lengths and may_be_empty:
        return 0
    if not lengths:
        raise failures.RequestError(411, "Content-Length is missing.")
    text = lengths[0].strip()
    if len(lengths) > 1 or not (text.isascii() and text.isdigit()):
        raise failures.RequestError(400, "Content-Length is no whole number.")
    if len(text) > 18 or int(text) > max_bytes:
        raise _too_large(max_bytes)
    return int(text)


class Body:
    """A body being read; what it holds counts against a budget."""

    def __init__(
        self, stream: io.BufferedReader, budget: Budget, max_bytes: int
    ) -> None:
        self._stream = stream
        self._budget = budget
        self._max_bytes = max_bytes
        self._content = bytearray()

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give(len(self._content))

    def read(self, length: int | None) -> bytes:
        """Returns the body.

        Args:
            length: In bytes; None if it comes in chunks.

        Raises:
            RequestError: It ends early, is too large or its chunks are none.
            TimeoutError: The client is too slow.
        """
        if length is not None:
            self._take(length)
            return bytes(self._content)
        while size := self._chunk_size():
            if len(self._content) + size > self._max_bytes:
                raise _too_large(self._max_bytes)
            self._take(size)
            if self._stream.readline(3) not in (b"\r\n", b"\n"):
                raise _no_chunks()
        self._skip_trailers()
        return bytes(self._content)

    def _take(self, length: int) -> None:
        while length:
            block = self._stream.read(min(length, _BLOCK))
            if not block:
                raise failures.RequestError(
                    400, f"The body ends {length} bytes too early."
                )
            self._budget.take(len(block))
            self._content += block
            length -= len(block)

    def _chunk_size(self) -> int:
        line = self._stream.readline(_LONGEST_CHUNK_LINE)
        if not (found := _CHUNK_SIZE.fullmatch(line)):
            raise _no_chunks()
        return int(found[1], 16)

    def _skip_trailers(self) -> None:
        for _ in range(_MAX_TRAILERS):
            if self._stream.readline(_LONGEST_CHUNK_LINE) in (b"\r\n", b"\n"):
                return
        raise _no_chunks()


def _too_large(max_bytes: int) -> failures.RequestError:
    return failures.RequestError(
        413,
        f"A request may have {max_bytes} bytes at most "
        "(--max_request_megabytes).",
    )


def _no_chunks() -> failures.RequestError:
    return failures.RequestError(400, "The body's chunks are malformed.")
