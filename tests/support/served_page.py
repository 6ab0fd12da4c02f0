"""A review in a real browser."""

from __future__ import annotations

import threading
from typing import Any

from leakscan.review.page.server import ReviewServer


class Served:
    """A review that is served from a thread, and the page that looks at it."""

    def __init__(self, server: ReviewServer, chromium: Any, **context: Any) -> None:
        self.server = server
        self.thread = threading.Thread(target=server.serve, daemon=True)
        self.thread.start()
        self.context = chromium.new_context(**{"viewport": {"width": 1400, "height": 900}, **context})
        self.page = self.context.new_page()
        self.trouble: list[str] = []
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.goto(server.link())
        self.ready()

    def ready(self) -> None:
        """Waits for the first pictures."""
        self.page.wait_for_selector("body[data-ready]")
        self.page.wait_for_selector("#stage canvas")

    def press(self, *keys: str) -> None:
        """Presses keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector: str) -> str:
        """The text of an element."""
        found: str = self.page.inner_text(selector)
        return found

    def until(self, selector: str, words: str) -> None:
        """Waits until an element holds some words."""
        script = "([s, w]) => document.querySelector(s)?.innerText.includes(w)"
        self.page.wait_for_function(script, arg=[selector, words], timeout=10_000)

    def close(self) -> None:
        """Ends the page and the server."""
        self.context.close()
        self.server.stop()
        self.thread.join(10)
