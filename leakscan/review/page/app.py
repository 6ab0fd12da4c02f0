"""The page's addresses: what each answers, and what it takes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from leakscan.errors import LeakscanError
from leakscan.review.page.asked import KEY, Refused, asked_id, asked_judgement, asked_number, asked_wish
from leakscan.review.page.deck import ReviewCard, RunImage
from leakscan.review.page.guard import Door, Guard, TooLarge
from leakscan.review.page.originals import Missing, Originals
from leakscan.review.page.pictures import LEVELS
from leakscan.review.page.session import ReviewSession
from leakscan.review.page.told import Teller
from leakscan.review.page.views import Ahead, PageViews

_PAGE_LENGTH = 200
_AHEAD = 8
_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the page is made of.

    Attributes:
        session: The review.
        views: What renders.
        ahead: What renders ahead.
        originals: Where the pixels are.
        teller: What puts cards into words.
        door: The secrets of the server.
    """

    session: ReviewSession
    views: PageViews
    ahead: Ahead
    originals: Originals
    teller: Teller
    door: Door


def review_app(parts: Parts) -> Guard:
    """The page as an ASGI application.

    Args:
        parts: What it is made of.

    Example::

        app = review_app(parts)
        uvicorn.run(app, host="127.0.0.1", port=8711)
    """
    page = _Page(parts)
    routes = [
        Route("/", page.shell),
        Route("/static/{name}", page.static),
        Route("/api/run", _answered(page.run)),
        Route("/api/queue", _answered(page.queue)),
        Route("/api/summary", _answered(page.summary)),
        Route("/api/card/{card}", _answered(page.card)),
        Route("/api/film/{card}/{image}/{level}", _answered(page.film)),
        Route("/api/laid/{card}/{a}/{b}", _answered(page.laid)),
        Route("/api/places/{card}/{a}/{b}", _answered(page.places)),
        Route("/api/parts/{card}/{a}/{b}", _answered(page.parts)),
        Route("/api/volume/{card}/{image}", _answered(page.volume)),
        Route("/api/volume/{card}/{a}/{b}", _answered(page.laid_volume)),
        Route("/api/opened", _answered(page.opened), methods=["POST"]),
        Route("/api/verdict", _answered(page.verdict), methods=["POST"]),
        Route("/api/undo", _answered(page.undo), methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers=_ERRORS)
    return Guard(app, parts.door)


Answer = Callable[[Request, Any], Response]


def _answered(handler: Answer) -> Callable[[Request], Awaitable[Response]]:
    """Runs a handler in a thread, and turns what it raises into a sentence."""

    async def answer(request: Request) -> Response:
        try:
            body = await _body(request) if request.method == "POST" else None
            return await run_in_threadpool(handler, request, body)
        except Refused as error:
            return JSONResponse({"error": error.sentence}, error.status)
        except Missing as error:
            return JSONResponse({"error": error.sentence}, 410)
        except LeakscanError as error:
            return JSONResponse(
                {"error": error.without_path().message, "hint": error.without_path().hint}, 409
            )

    return answer


async def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Refused("The request is no JSON.") from None
    if not isinstance(found, dict):
        raise Refused("The request is no JSON object.")
    return found


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": "There is nothing at this address."}, status)


async def _too_large(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "That is too much for one request."}, 413)


async def _fault(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "leakscan has a fault here; please report what you did."}, 500)


_ERRORS = {HTTPException: _http_error, TooLarge: _too_large, Exception: _fault}


class _Page:
    """The handlers. None of them opens a path that a request names."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._session, self._teller = parts, parts.session, parts.teller
        environment = Environment(
            loader=PackageLoader("leakscan.review.page"), autoescape=select_autoescape(default=True)
        )
        self._template = environment.get_template("page.html.jinja")
        folder = resources.files("leakscan.review.page") / "static"
        self._static = {
            entry.name: entry.read_bytes()
            for entry in folder.iterdir()
            if entry.name.rpartition(".")[2] in _TYPES
        }

    async def shell(self, request: Request) -> Response:
        """The page itself; everything in it comes by the other addresses."""
        return HTMLResponse(self._template.render(secret=self._parts.door.secret))

    async def static(self, request: Request) -> Response:
        """A script or style: one of those read at the start, by its exact name."""
        name = request.path_params["name"]
        if name not in self._static:
            raise HTTPException(404)
        return Response(self._static[name], media_type=_TYPES[name.rpartition(".")[2]])

    def run(self, request: Request, _: Any) -> Response:
        """What the run is, and who reviews it."""
        self._session.refresh()
        return JSONResponse({**self._teller.run(), "troubles": self._parts.originals.troubles})

    def queue(self, request: Request, _: Any) -> Response:
        """A part of the queue, and how far the review is."""
        self._session.refresh()
        cards = self._session.queue(
            asked_wish(request.query_params), request.query_params.get("after", "")[:16]
        )
        start = asked_number(request.query_params.get("start", "0"), 10_000_000)
        length = asked_number(request.query_params.get("length", "100"), _PAGE_LENGTH)
        part = cards[start : start + length]
        return JSONResponse(
            {
                "total": len(cards),
                "start": start,
                "cards": [self._teller.line(card) for card in part],
                "progress": self._session.progress(),
            }
        )

    def summary(self, request: Request, _: Any) -> Response:
        """What the review came to so far."""
        self._session.refresh()
        return JSONResponse(self._session.summary())

    def card(self, request: Request, _: Any) -> Response:
        """Everything about one card that the reviewer may see by now."""
        self._session.refresh()
        return JSONResponse(self._teller.card(self._card(request)))

    def film(self, request: Request, _: Any) -> Response:
        """The grey levels of one picture."""
        level = next((known for known in LEVELS if known == request.path_params["level"]), None)
        if level is None:
            raise Refused("There is no such size.", 404)
        return _packed(self._parts.views.film(self._image(request), level))

    def laid(self, request: Request, _: Any) -> Response:
        """How the right picture lies on the left one."""
        card = self._card(request)
        a, b = self._couple(request, card)
        return JSONResponse(self._teller.laid(card, a, b, self._parts.views))

    def places(self, request: Request, _: Any) -> Response:
        """Places of two films that look alike in detail; a blind reviewer gets none before the verdict."""
        card = self._card(request)
        a, b = self._couple(request, card)
        if self._session.hides(card):
            return JSONResponse({"sought": False, "places": []})
        return JSONResponse({"sought": True, "places": self._parts.views.places(a, b)})

    def parts(self, request: Request, _: Any) -> Response:
        """How well two volumes agree around each place; a blind reviewer gets it after the verdict."""
        card = self._card(request)
        a, b = self._couple(request, card)
        if self._session.hides(card):
            raise Refused("Where the two agree is hidden until your verdict.", 403)
        return _packed(self._parts.views.parts(a, b))

    def volume(self, request: Request, _: Any) -> Response:
        """The grey levels of one volume."""
        return _packed(self._parts.views.volume(self._image(request)))

    def laid_volume(self, request: Request, _: Any) -> Response:
        """The grey levels of the right volume on the frame of the left one."""
        a, b = self._couple(request, self._card(request))
        return _packed(self._parts.views.laid_volume(a, b))

    def opened(self, request: Request, body: dict[str, Any]) -> Response:
        """Notes that a card was opened, and renders those that come next."""
        card = self._named(body.get("card"))
        self._session.seen.add(card.key)
        following = body.get("next")
        keys = following[:_AHEAD] if isinstance(following, list) else []
        found = [self._session.card(key) for key in keys if isinstance(key, str)]
        self._parts.ahead.want([one for one in found if one is not None])
        return JSONResponse({"ok": True})

    def verdict(self, request: Request, body: dict[str, Any]) -> Response:
        """Takes a verdict; the answer comes when it is on disk."""
        judgement = asked_judgement(body)
        card = self._named(judgement.card)
        self._session.give(judgement)
        return JSONResponse({"saved": judgement.id, "card": self._teller.card(card)})

    def undo(self, request: Request, body: dict[str, Any]) -> Response:
        """Takes back the newest verdict of this session."""
        key = self._session.undo(asked_id(body.get("id")))
        return JSONResponse({"card": key})

    def _card(self, request: Request) -> ReviewCard:
        return self._named(request.path_params["card"])

    def _named(self, key: Any) -> ReviewCard:
        card = self._session.card(key) if isinstance(key, str) and KEY.fullmatch(key) else None
        if card is None:
            raise Refused("This run has no such card; load the page again.", 404)
        return card

    def _image(self, request: Request) -> RunImage:
        card, key = self._card(request), request.path_params["image"]
        for image in card.images:
            if image.key == key:
                return image
        raise Refused("This card has no such image; load the page again.", 404)

    def _couple(self, request: Request, card: ReviewCard) -> tuple[RunImage, RunImage]:
        found = card.couple(request.path_params["a"], request.path_params["b"])
        if found is None:
            raise Refused("This card has no such images; load the page again.", 404)
        return found


def _packed(content: bytes) -> Response:
    # The browser unpacks it: HTTP calls a zlib stream "deflate".
    headers = {"Content-Encoding": "deflate"}
    return Response(content, media_type="application/octet-stream", headers=headers)
