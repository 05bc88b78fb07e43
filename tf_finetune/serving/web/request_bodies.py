"""Reading of request bodies within limits of size, memory and time."""

import contextlib
import dataclasses
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from tf_finetune.serving import failures
from tf_finetune.serving.web import body_headers

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClientLimits:
    """Bounds on a client's use of the server.

    Attributes:
        max_request_bytes: Size of a body.
        max_connections: Open connections, and requests computed for clients
            that have left.
        timeout_seconds: For a whole request to come in, for the answer to go
            out, and for the next request of a connection to begin.
    """

    max_request_bytes: int
    max_connections: int
    timeout_seconds: float


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
    """A request's body; its bytes count against a budget within a block."""

    def __init__(self, budget: ByteBudget, max_bytes: int) -> None:
        self._budget = budget
        self._max_bytes = max_bytes
        self._held = 0

    def __enter__(self) -> "BodyReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give(self._held)

    async def read(self, receive: Receive) -> bytes | None:
        """Returns the body as it was sent; None: the client has left.

        Args:
            receive: The next ASGI message of the request.

        Raises:
            RequestError: It is too large, or all requests together are.
        """
        blocks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            block = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(block)
            if size > self._max_bytes:
                raise body_headers.make_size_error(self._max_bytes)
            self._reserve(len(block))
            blocks.append(block)
        return b"".join(blocks)

    def unpack(self, packed: bytes, coding: str) -> bytes:
        """Decompresses a body; see `body_headers.decompress`."""
        return body_headers.decompress(
            packed, coding, self._max_bytes, self._reserve
        )

    def _reserve(self, amount: int) -> None:
        self._budget.take(amount)
        self._held += amount
