"""Reading of request bodies within limits of size, memory and time."""

import contextlib
import dataclasses
import io
import re
import socket
import threading
import time
from collections.abc import Iterator

from tf_finetune.serving import failures
from tf_finetune.serving.web import body_headers

_BLOCK = 1 << 16
# Chunked transfer coding: RFC 9112, section 7.1. 15 hexadecimal digits stay
# below 2^60.
_LONGEST_CHUNK_LINE = 1024
_MAX_TRAILERS = 20
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n]*)?\r?\n")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClientLimits:
    """Limits of clients: bytes, connections and time.

    Attributes:
        max_request_bytes: Size of a body.
        max_connections: Open connections; each has a thread.
        timeout_seconds: For receiving a whole request, for sending the
            response, and for the start of a connection's next request.
    """

    max_request_bytes: int
    max_connections: int
    timeout_seconds: float


class DeadlineInput(io.RawIOBase):
    """Input stream of a connection with a deadline.

    The deadline is for the whole request, so a client cannot extend it by
    sending a byte now and then (a slow-loris attack).
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._until = 0.0

    def allow(self, seconds: float) -> None:
        """Sets the deadline of all reading to so many seconds from now."""
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        """Returns True, as `io.RawIOBase` requires of input."""
        return True

    def readinto(self, buffer: memoryview) -> int:
        """Reads available bytes; raises `TimeoutError` after the deadline."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client is too slow")
        # For this call alone; the deadline stays that of the whole request.
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class ByteBudget:
    """Memory budget of all requests together, bytes."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def reserve(self, amount: int) -> Iterator[None]:
        """Reserves bytes while the context lasts; raises as `take`."""
        self.take(amount)
        try:
            yield
        finally:
            self.give(amount)

    def take(self, amount: int) -> None:
        """Reserves bytes.

        Raises:
            RequestError: 503, all requests together would hold too many.
        """
        with self._lock:
            if amount > self._left:
                raise failures.RequestError(
                    503, "Too many large requests at once. Try again later."
                )
            self._left -= amount

    def give(self, amount: int) -> None:
        """Releases bytes."""
        with self._lock:
            self._left += amount


class BodyReader:
    """Reader of one body; its bytes count against a budget."""

    def __init__(
        self, stream: io.BufferedReader, budget: ByteBudget, max_bytes: int
    ) -> None:
        self._stream = stream
        self._budget = budget
        self._max_bytes = max_bytes
        self._content = bytearray()
        self._held = 0

    def __enter__(self) -> "BodyReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give(self._held)

    def read(self, length: int | None, coding: str | None = None) -> bytes:
        """Reads the body and decompresses it.

        Args:
            length: In bytes; None if it comes in chunks.
            coding: Its content coding; see `body_headers.read_content_coding`.

        Raises:
            RequestError: It ends early, is too large or has malformed chunks.
            TimeoutError: The client is too slow.
        """
        # Compressed and decompressed bytes both count against the budget.
        if length is not None:
            self._read_bytes(length)
        else:
            self._read_chunks()
        if coding is None:
            return bytes(self._content)
        return body_headers.decompress(
            bytes(self._content), coding, self._max_bytes, self._reserve
        )

    def _read_chunks(self) -> None:
        while size := self._read_chunk_size():
            if len(self._content) + size > self._max_bytes:
                raise body_headers.make_size_error(self._max_bytes)
            self._read_bytes(size)
            if self._stream.readline(3) not in (b"\r\n", b"\n"):
                raise _make_chunk_error()
        self._skip_trailers()

    def _reserve(self, amount: int) -> None:
        self._budget.take(amount)
        self._held += amount

    def _read_bytes(self, length: int) -> None:
        while length:
            block = self._stream.read(min(length, _BLOCK))
            if not block:
                raise failures.RequestError(
                    400, f"The body ends {length} bytes too early."
                )
            # Counted as it arrives: a length alone reserves no memory.
            self._reserve(len(block))
            self._content += block
            length -= len(block)

    def _read_chunk_size(self) -> int:
        line = self._stream.readline(_LONGEST_CHUNK_LINE)
        if not (found := _CHUNK_SIZE.fullmatch(line)):
            raise _make_chunk_error()
        return int(found[1], 16)

    def _skip_trailers(self) -> None:
        # Trailer fields, RFC 9112, section 7.1.2, are not used here.
        for _ in range(_MAX_TRAILERS):
            if self._stream.readline(_LONGEST_CHUNK_LINE) in (b"\r\n", b"\n"):
                return
        raise _make_chunk_error()


def _make_chunk_error() -> failures.RequestError:
    return failures.RequestError(400, "The body's chunks are malformed.")
