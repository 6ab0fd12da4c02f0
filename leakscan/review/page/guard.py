"""Keeps strangers out: other machines, other pages in the same browser, other names for this address.

The page serves one person on one machine. Another web page in the same browser may send requests here, and
may even make a name of its own lead to this address (DNS rebinding); programs of other users of the machine
may connect as well. So every request must name this host, must come from this page where it says where it
comes from, and must carry a cookie that only the one-time link gave out. What changes something also
carries a second secret in a header, which no other page can set.
"""

from __future__ import annotations

import hmac
import html
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 * 1024
"""The largest body of a request; a verdict with a note has a few hundred bytes."""

SECRET_HEADER = "x-leakscan-secret"
_MOST_ADDRESS = 4096  # bytes of path and query
_LINK_SECONDS = 10.0  # between two links in the terminal

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Door:
    """The secrets of one server, and the addresses under which it answers.

    Args:
        port: The port of the server.
        say: Receives a new link when a browser without the cookie asks for the page.

    Example:
        >>> door = Door(8711, say=print)
        >>> door.link().startswith("http://127.0.0.1:8711/?key=")
        True
    """

    def __init__(self, port: int, say: Callable[[str], None]) -> None:
        self.hosts = tuple(f"{host}:{port}" for host in ("127.0.0.1", "localhost"))
        self.origins = tuple(f"http://{host}" for host in self.hosts)
        self.cookie_name = f"leakscan-review-{port}"  # cookies of one host are shared by its ports
        self.secret = secrets.token_urlsafe(32)
        self._cookies: set[str] = set()
        self._key = secrets.token_urlsafe(32)
        self._say, self._said_at = say, -_LINK_SECONDS

    def link(self) -> str:
        """The address that lets one browser in, once."""
        return f"{self.origins[0]}/?key={self._key}"

    def exchange(self, key: str) -> str | None:
        """A cookie for the key of the link, which is worth nothing from then on."""
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            return None
        self._key = secrets.token_urlsafe(32)
        cookie = secrets.token_urlsafe(32)
        self._cookies.add(cookie)
        return cookie

    def knows(self, cookie: str) -> bool:
        """Whether this server gave out a cookie."""
        return any(hmac.compare_digest(cookie.encode(), known.encode()) for known in self._cookies)

    def refused(self) -> None:
        """Says a link in the terminal, where only the person who started the server reads it."""
        if time.monotonic() - self._said_at > _LINK_SECONDS:
            self._said_at = time.monotonic()
            self._say(self.link())


class Guard:
    """Refuses what the door does not let in, before anything else sees it.

    Args:
        app: What stands behind the door.
        door: The secrets and addresses.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = self._answer(scope)
        app = answer if answer is not None else self._app
        await app(scope, _bounded(receive), _with_headers(send))

    def _answer(self, scope: Scope) -> Response | None:
        """The refusal or the way in; ``None`` for a request that may pass."""
        headers, method = Headers(scope=scope), scope["method"]
        if headers.getlist("host") not in [[host] for host in self._door.hosts]:
            return _no(421, "This address is not served here.")
        if method not in ("GET", "HEAD", "POST"):
            return _no(405, "Only GET and POST are answered.")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _MOST_ADDRESS:
            return _no(414, "The address is too long.")
        opens = scope["path"] == "/" and method == "GET"
        if not self._is_ours(headers, opens):
            return _no(403, "Requests from other pages are refused.")
        if opens and (key := parse_qs(scope["query_string"].decode("latin-1")).get("key")):
            return self._let_in(headers, key[0])
        if not self._door.knows(self._cookie(headers)):
            self._door.refused()
            return (
                _stranger() if opens else _no(403, "This browser has no key. Open the link in the terminal.")
            )
        return self._no_change(headers, method)

    def _is_ours(self, headers: Headers, opens: bool) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin not in self._door.origins:
            return False
        # A link may be opened from anywhere; it shows nothing without the key or the cookie.
        return site in (None, "same-origin", "none") or opens

    def _let_in(self, headers: Headers, key: str) -> Response:
        cookie = self._door.exchange(key)
        if cookie is None:
            if self._door.knows(self._cookie(headers)):
                return RedirectResponse("/", 303)  # the same browser opened the link again
            self._door.refused()
            return _stranger()
        answer = RedirectResponse("/", 303)
        # "lax", so that a link in a notebook works: a browser that comes from another page keeps a strict
        # cookie back. Pages of others gain nothing: they may neither read nor send (`_is_ours`).
        answer.set_cookie(self._door.cookie_name, cookie, httponly=True, samesite="lax")
        return answer

    def _no_change(self, headers: Headers, method: str) -> Response | None:
        if method != "POST":
            return None
        if headers.get("origin") not in self._door.origins:
            return _no(403, "Requests from other pages are refused.")
        if not hmac.compare_digest(headers.get(SECRET_HEADER, "").encode(), self._door.secret.encode()):
            return _no(403, "The page is out of date: load it again.")
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _no(415, "Only JSON is taken.")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:12]) > MOST_BYTES:
            return _no(413, "That is too much for one request.")
        return None

    def _cookie(self, headers: Headers) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._door.cookie_name)
        except CookieError:
            return ""
        return found.value if found else ""


class TooLarge(Exception):
    """A body that goes on beyond what its header said, or says nothing and never ends."""


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise TooLarge
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending


def _no(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


def _stranger() -> Response:
    words = "This browser has no key for the review. A fresh link stands in the terminal that runs it."
    page = f"<!doctype html><html lang=en><title>leakscan review</title><p>{html.escape(words)}</p></html>"
    return HTMLResponse(page, 403)
