"""Request bodies: their header fields, and reading within limits."""

import contextlib
import dataclasses
import email.message
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from tf_finetune.serving import failures

if TYPE_CHECKING:
    from starlette import datastructures


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_BLOCK = 1 << 16
# Bits of the window, as zlib counts: + 16 for the header of gzip. "deflate" is
# the header of zlib (RFC 9110, section 8.4.1.2).
_ZLIB, _GZIP = 15, 31
_WINDOW_BITS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
# gzip data may be several members in a row (RFC 1952, section 2.2). An empty
# one has only 20 bytes, so a small body could hold very many.
_MAX_MEMBERS = 1000
# JSON is UTF-8 (RFC 8259, section 8.1), of which ASCII is a part.
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
_FORM_HINT = (
    "Forms with files (curl -F) are not supported. Send the picture as JSON: "
    '{"instances": [{"b64": "…"}]}, with its bytes in base64, by POST to '
    "/v1/models/NAME:predict."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClientLimits:
    """Limits of a client's use of the server.

    Attributes:
        max_request_bytes: Largest size of a body, also when decompressed.
        max_connections: Largest number of open connections, including requests
            that are still computed for clients that have left.
        timeout_seconds: Time for a whole request to come in, for the answer to
            go out, and for the next request of a connection to begin.
    """

    max_request_bytes: int
    max_connections: int
    timeout_seconds: float


class ByteBudget:
    """Count of the bytes that all requests together may hold in memory.

    Args:
        total: The limit in bytes.
    """

    def __init__(self, total: int) -> None:
        self._left = total
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def reserve(self, amount: int) -> Iterator[None]:
        """Reserves bytes while a block lasts.

        Raises:
            RequestError: 503, all requests together would hold too many.
        """
        self.take(amount)
        try:
            yield
        finally:
            self.give(amount)

    def take(self, amount: int) -> None:
        """Reserves bytes until `give` releases them.

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
        """Releases reserved bytes."""
        with self._lock:
            self._left += amount


class BodyReader:
    """Reader of a request's body; a `with` block holds its bytes in a budget.

    Args:
        budget: Gets the bytes back at the end of the block.
        max_bytes: Largest size of the body, also when decompressed.
    """

    def __init__(self, budget: ByteBudget, max_bytes: int) -> None:
        self._budget = budget
        self._max_bytes = max_bytes
        self._held = 0

    def __enter__(self) -> "BodyReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give(self._held)

    async def read(self, receive: Receive) -> bytes | None:
        """Reads the whole body as it was sent.

        Args:
            receive: Returns the next ASGI message of the request.

        Returns:
            The body; None if the client has left.

        Raises:
            RequestError: 413, the body is too large; 503, all requests together
                hold too many bytes.
        """
        blocks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            block = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(block)
            # Counted as it comes in: chunks declare no length of the whole.
            if size > self._max_bytes:
                raise _make_size_error(self._max_bytes)
            self._reserve(len(block))
            blocks.append(block)
        return b"".join(blocks)

    def unpack(self, packed: bytes, coding: str) -> bytes:
        """Decompresses a body within the limits; see `decompress`."""
        return decompress(packed, coding, self._max_bytes, self._reserve)

    def _reserve(self, amount: int) -> None:
        self._budget.take(amount)
        self._held += amount


def check_length(
    headers: "datastructures.Headers", max_bytes: int, may_be_empty: bool
) -> None:
    """Checks header fields that state the length of a body.

    The parser has refused two lengths, and a length beside chunks.

    Args:
        headers: The request's header fields.
        max_bytes: The largest allowed length.
        may_be_empty: Whether a request without a length is one without a body.

    Raises:
        RequestError: 411, the length is missing; 413, it is too large; 501,
            another Transfer-Encoding than chunked.
    """
    encodings = headers.getlist("Transfer-Encoding")
    if encodings:
        if [each.strip().lower() for each in encodings] != ["chunked"]:
            raise failures.RequestError(
                501, "The only supported Transfer-Encoding is chunked."
            )
        return
    length = headers.get("Content-Length")
    if length is None and not may_be_empty:
        raise failures.RequestError(411, "Content-Length is missing.")
    if int(length or 0) > max_bytes:
        raise _make_size_error(max_bytes)


def has_body(headers: "datastructures.Headers") -> bool:
    """Returns whether header fields announce a body, which may be empty."""
    return "Content-Length" in headers or "Transfer-Encoding" in headers


def check_media_type(headers: "datastructures.Headers") -> None:
    """Checks that the Content-Type is not one that cannot be read as JSON.

    Other media types than JSON are accepted: curl sends that of a form with
    any data.

    Raises:
        RequestError: 415, a form with files (multipart), or a charset other
            than UTF-8 or ASCII.
    """
    given = headers.get("Content-Type", "")
    if given in ("", "application/json"):
        return
    kind = email.message.Message()
    kind["Content-Type"] = given
    if kind.get_content_maintype() == "multipart":
        raise failures.RequestError(415, _FORM_HINT)
    charset = kind.get_content_charset()
    if charset is not None and charset.lower() not in _CHARSETS:
        raise failures.RequestError(
            415,
            f"Content-Type: the charset {charset[:40]!r} is not supported; "
            "send JSON in UTF-8.",
        )


def read_content_coding(headers: "datastructures.Headers") -> str | None:
    """Reads the compression of a body from its header fields.

    Returns:
        "gzip", "x-gzip" or "deflate"; None if it is not compressed.

    Raises:
        RequestError: 415, another coding or several.
    """
    given = ",".join(headers.getlist("Content-Encoding"))
    named = [each.strip().lower() for each in given.split(",")]
    named = [each for each in named if each not in ("", "identity")]
    if not named:
        return None
    if len(named) > 1 or named[0] not in _WINDOW_BITS:
        raise failures.RequestError(
            415,
            f"Content-Encoding: {given[:100]!r} is not supported; possible are "
            "gzip, deflate or none.",
        )
    return named[0]


def decompress(
    packed: bytes, coding: str, max_bytes: int, take: Callable[[int], None]
) -> bytes:
    """Decompresses a body up to a limit.

    At most `max_bytes` and one block are ever decompressed.

    Args:
        packed: The compressed body.
        coding: The result of `read_content_coding`.
        max_bytes: The largest allowed size of the decompressed body.
        take: Called with a number of bytes before they are kept; may raise
            `RequestError`.

    Returns:
        The decompressed body.

    Raises:
        RequestError: 400, it is damaged; 413, it is too large.
    """
    content = bytearray()
    try:
        for block in _iterate_blocks(packed, _WINDOW_BITS[coding]):
            if len(content) + len(block) > max_bytes:
                raise _make_size_error(max_bytes)
            take(len(block))
            content += block
    except (zlib.error, EOFError) as error:
        raise failures.RequestError(
            400, f"The body is not {coding}, as Content-Encoding says: {error}."
        ) from error
    return bytes(content)


def _make_size_error(max_bytes: int) -> failures.RequestError:
    """Makes the error 413 of a body."""
    return failures.RequestError(
        413,
        f"A request may have at most {max_bytes} bytes "
        "(--max_request_megabytes).",
    )


def _iterate_blocks(packed: bytes, window_bits: int) -> Iterator[bytes]:
    """Yields the decompressed body, a block at a time.

    The input goes in by blocks, too: zlib copies all input that it has not
    used.
    """
    stream, members = zlib.decompressobj(window_bits), 1
    for start in range(0, len(packed), _BLOCK):
        pending = packed[start : start + _BLOCK]
        while pending:
            if stream.eof:
                members += 1
                if members > _MAX_MEMBERS or window_bits == _ZLIB:
                    raise EOFError("something follows its end")
                stream = zlib.decompressobj(window_bits)
            yield stream.decompress(pending, _BLOCK)
            pending = stream.unconsumed_tail or stream.unused_data
    # Output may be left in the stream when all input is used up.
    while not stream.eof:
        block = stream.decompress(b"", _BLOCK)
        if not block:
            raise EOFError("it ends too early")
        yield block
