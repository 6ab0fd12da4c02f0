"""A browser on a review, as far as requests go."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from leakscan.review.page.server import ReviewServer

Open = Callable[..., ReviewServer]
"""Opens a run for review; takes what :class:`leakscan.review.page.server.ReviewOptions` takes."""


class Reader:
    """A browser that has opened the link, as far as requests go.

    Args:
        server: The server.
    """

    def __init__(self, server: ReviewServer) -> None:
        self.server = server
        self.origin = f"http://127.0.0.1:{server.port}"
        self.client = TestClient(server.app, base_url=self.origin, raise_server_exceptions=False)
        self.client.get(server.link())

    def get(self, address: str, status: int = 200) -> Any:
        """What an address answers, as JSON."""
        answer = self.client.get(address)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, address: str, body: Any, **headers: str) -> Any:
        """The answer to a request that changes something."""
        sent = {"Origin": self.origin, "X-Leakscan-Secret": self.server.door.secret, **headers}
        return self.client.post(address, json=body, headers=sent)

    def say(self, card: str, word: str, **more: Any) -> Any:
        """Gives a verdict."""
        answer = self.post("/api/verdict", {"id": uuid.uuid4().hex, "card": card, "word": word, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def lines(self, query: str = "") -> list[dict[str, Any]]:
        """The cards of the queue."""
        found: list[dict[str, Any]] = self.get(f"/api/queue{query}")["cards"]
        return found

    def titled(self, part: str) -> dict[str, Any]:
        """The card of the queue whose title has a text in it."""
        (found,) = [line for line in self.lines() if part in " ".join(line["title"])]
        return found
