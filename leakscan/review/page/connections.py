"""Connections that say nothing are closed, so that they cannot keep the reviewer out.

Any page in the browser may open connections to this machine and send nothing, and any program may begin a
request and never end it. The server takes a bounded number of connections, and uvicorn waits for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class PromptProtocol(H11Protocol):
    """HTTP for those who say what they want within ``seconds``."""

    seconds = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request."""
        super().connection_made(transport)
        self._seen: tuple[Any, int] = self._state()
        self._waiting = self.loop.call_later(self.seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits no more."""
        self._waiting.cancel()
        super().connection_lost(exc)

    def _state(self) -> tuple[Any, int]:
        return self.conn.their_state, id(self.cycle)

    def _look(self) -> None:
        """Closes the connection where the other side has owed the same thing since the last look."""
        seen, self._seen = self._seen, self._state()
        if seen == self._seen and seen[0] in (h11.IDLE, h11.SEND_BODY):
            self.transport.close()
        else:
            self._waiting = self.loop.call_later(self.seconds, self._look)
