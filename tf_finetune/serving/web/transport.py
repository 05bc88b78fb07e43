"""A transport between uvicorn and asyncio."""

import asyncio
from typing import Any, Protocol


class _Connection(Protocol):
    closing: bool

    def close(self) -> None: ...


class Transport:
    """An asyncio transport that its connection closes in its own way.

    Attributes:
        holds: Whether bytes wait for those behind them, as the head of an
            answer does: both leave together.
    """

    def __init__(
        self, transport: asyncio.Transport, connection: "_Connection"
    ) -> None:
        """Wraps a transport.

        Args:
            transport: Of asyncio.
            connection: Decides how it is closed.
        """
        self._transport = transport
        self._held = b""
        self.holds = False
        self.close = connection.close
        self.is_closing = lambda: connection.closing or transport.is_closing()

    def write(self, data: bytes) -> None:
        """Sends bytes, behind those that have waited for them."""
        if self.holds:
            self._held += data
        else:
            self._transport.write(self._held + data)
            self._held = b""

    def flush(self) -> None:
        """Sends bytes that have waited in vain, as the head of a HEAD does."""
        self.holds = False
        if self._held:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
