"""Reading what a client sends, within limits of size and time."""

import contextlib
import dataclasses
import io
import re
import socket
import threading
import time
from collections.abc import Iterator

from tf_finetune.serving import failures
from tf_finetune.serving.web import content

_BLOCK = 1 << 16
_LONGEST_CHUNK_LINE = 1024
_MAX_TRAILERS = 20
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n]*)?\r?\n")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What clients may take.

    Attributes:
        max_request_bytes: Size of a body.
        max_connections: Open connections; each has a thread.
        timeout_seconds: For a whole request to come in, for the answer to go
            out, and for the next request of a connection to begin.
    """

    max_request_bytes: int
    max_connections: int
    timeout_seconds: float


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


class Body:
    """A body being read; what it holds counts against a budget."""

    def __init__(
        self, stream: io.BufferedReader, budget: Budget, max_bytes: int
    ) -> None:
        self._stream = stream
        self._budget = budget
        self._max_bytes = max_bytes
        self._content = bytearray()
        self._held = 0

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give(self._held)

    def read(self, length: int | None, coding: str | None = None) -> bytes:
        """Returns the body.

        Args:
            length: In bytes; None if it comes in chunks.
            coding: How it is compressed; see `content.coding`.

        Raises:
            RequestError: It ends early, is too large or its chunks are none.
            TimeoutError: The client is too slow.
        """
        if length is not None:
            self._take(length)
        else:
            self._take_chunks()
        if coding is None:
            return bytes(self._content)
        return content.unpack(
            bytes(self._content), coding, self._max_bytes, self._count
        )

    def _take_chunks(self) -> None:
        while size := self._chunk_size():
            if len(self._content) + size > self._max_bytes:
                raise content.too_large(self._max_bytes)
            self._take(size)
            if self._stream.readline(3) not in (b"\r\n", b"\n"):
                raise _no_chunks()
        self._skip_trailers()

    def _count(self, amount: int) -> None:
        self._budget.take(amount)
        self._held += amount

    def _take(self, length: int) -> None:
        while length:
            block = self._stream.read(min(length, _BLOCK))
            if not block:
                raise failures.RequestError(
                    400, f"The body ends {length} bytes too early."
                )
            self._count(len(block))
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


def _no_chunks() -> failures.RequestError:
    return failures.RequestError(400, "The body's chunks are malformed.")
