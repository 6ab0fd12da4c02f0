"""Opens a run for review and serves the page on this machine alone."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from leakscan.errors import OutputError, UsageError, reason
from leakscan.report.run_folder import RunFolder
from leakscan.review.account import account_name
from leakscan.review.judged_run import JudgedRun
from leakscan.review.page.deck import Deck
from leakscan.review.page.gold import gold_pairs
from leakscan.review.page.originals import Originals
from leakscan.review.page.session import ReviewSession
from leakscan.review.page.shelf import Shelf
from leakscan.review.page.told import Teller
from leakscan.review.page.views import Ahead, PageViews
from leakscan.review.verdicts import VerdictFile
from leakscan.settings import Settings
from leakscan.writable import check_writable

if TYPE_CHECKING:
    from leakscan.review.page.guard import Door, Guard

HOST = "127.0.0.1"
_FIRST_PORT, _PORTS = 8700, 250  # a run gets the same port again, so that a browser finds what it kept
_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class ReviewOptions:
    """What a reviewer chooses.

    Attributes:
        reviewer: The name that verdicts carry; empty for the name of the account.
        verdicts: The file of verdicts; ``None`` for ``verdicts.parquet`` in the run folder.
        port: The port to serve on; 0 for the run's own, or the next free one.
        blind: Whether scores and labels are hidden until a verdict is given.
        gold: How many hidden pairs with known answers are mixed in. They make the review blind.
        moved: Where datasets are now, by name.

    Example:
        >>> ReviewOptions(reviewer="ann", gold=20).moved
        {}
    """

    reviewer: str = ""
    verdicts: Path | None = None
    port: int = 0
    blind: bool = False
    gold: int = 0
    moved: Mapping[str, str] = field(default_factory=dict)


class ReviewServer:
    """A run that is open for review, and the socket that its page is served on.

    Args:
        run: The run folder.
        options: What the reviewer chose.
        settings: The cache folder, the room for pictures, and whether paths are hidden.
        say: Receives links for the terminal.

    Raises:
        StoreError: ``run`` is no run folder, or a table or the file of verdicts is damaged.
        UsageError: The port is in use, or a package of the extra ``review`` is missing.

    Example::

        server = ReviewServer(Path("run"), ReviewOptions(), Settings(), say=print)
        print(server.link())
        server.serve()  # until Ctrl-C
    """

    def __init__(
        self, run: Path, options: ReviewOptions, settings: Settings, say: Callable[[str], None]
    ) -> None:
        _check_packages()
        from leakscan.review.page.app import Parts, review_app
        from leakscan.review.page.guard import Door

        folder = RunFolder.open(run)
        summary = folder.read_summary()
        deck = Deck.of(folder)
        gold = gold_pairs(folder, deck, options.gold) if options.gold else []
        self.session = ReviewSession(
            JudgedRun(folder),
            deck,
            VerdictFile(_writable(options.verdicts or folder.path / "verdicts.parquet")),
            options.reviewer.strip() or account_name(),
            blind=options.blind or bool(gold),
            gold=gold,
        )
        originals = Originals.of(folder, summary, options.moved)
        limits = settings.limits
        shelf = Shelf(limits.cache / "review", limits.pictures_mb << 20)
        views = PageViews(originals, shelf, gold, _film_encoder(summary))
        self._ahead = Ahead(views)
        self._server: Any = None
        self._is_stopped = False
        self._socket = _listening(run, options.port)
        self.port: int = self._socket.getsockname()[1]
        self.door: Door = Door(self.port, say)
        self.app: Guard = review_app(
            Parts(
                session=self.session,
                views=views,
                ahead=self._ahead,
                originals=originals,
                teller=Teller(self.session, summary, settings.privacy.hide_paths),
                door=self.door,
            )
        )
        self.troubles = originals.troubles
        self.gold = len(gold)

    def link(self) -> str:
        """The address that lets one browser in, once."""
        return self.door.link()

    def serve(self) -> None:
        """Serves the page until Ctrl-C or SIGTERM."""
        import uvicorn

        from leakscan.review.page.connections import PromptProtocol

        config = uvicorn.Config(
            self.app,
            http=PromptProtocol,
            ws="none",
            log_level="critical",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
            limit_concurrency=64,
        )
        self._server = uvicorn.Server(config)
        self._server.should_exit = self._is_stopped
        with contextlib.suppress(KeyboardInterrupt):  # the usual end of a review
            self._server.run(sockets=[self._socket])
        self._ahead.end()

    def stop(self) -> None:
        """Ends :meth:`serve` from another thread, also where it has not come to serve yet."""
        self._is_stopped = True
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        """Frees the port without serving."""
        self._socket.close()


def _writable(path: Path) -> Path:
    """The file of verdicts, if it can be written: better said now than at the first key.

    Raises:
        UsageError: Its folder is not there.
        OutputError: Nothing may be written there.
    """
    if not path.parent.is_dir():
        raise UsageError("The folder of the verdicts {path} is not there.", "Make it first.", path=path)
    try:
        check_writable(path)
    except OutputError as error:
        raise OutputError(
            error.sentence,
            "Keep the verdicts in another file.",
            code="verdicts_unwritable",
            path=error.path,
            **error.facts,
        ) from error
    return path


def _check_packages() -> None:
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise UsageError(
            "The review needs packages that are not installed.",
            "Install the extra review: pip install 'leakscan[review]'.",
            code="no_review_packages",
        ) from error
    del starlette, uvicorn


def _film_encoder(summary: Mapping[str, Any]) -> str | None:
    """The name of the encoder of chest films that a run used."""
    encoders = summary.get("encoders") or {}
    known = [name for name, about in encoders.items() if (about or {}).get("kind") == "chest_radiograph"]
    return known[0].partition("@")[0] if known else None


def _listening(run: Path, port: int) -> socket.socket:
    """A socket that listens on the loopback interface alone.

    Raises:
        UsageError: The port is in use, or may not be used.
    """
    if port:
        ports = [port]
    else:
        own = int.from_bytes(blake3(str(run.resolve()).encode()).digest()[:4], "big") % _PORTS
        ports = [_FIRST_PORT + (own + i) % _PORTS for i in range(_TRIES)] + [0]
    last: OSError | None = None
    for number in ports:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, number))
            found.listen(128)
            return found
        except OSError as error:
            found.close()
            last = error
    assert last is not None
    why = "it is in use" if last.errno == errno.EADDRINUSE else reason(last)
    raise UsageError(
        f"Port {port} cannot be used: {why}.",
        "Choose another port, or none: then a free one is taken.",
        code="port_taken",
    )
