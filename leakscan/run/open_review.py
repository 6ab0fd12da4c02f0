"""A review that is open while a notebook or a program goes on."""

from __future__ import annotations

import threading
from html import escape
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from leakscan.settings import Settings

if TYPE_CHECKING:
    from leakscan.review.page.server import ReviewOptions


class OpenReview:
    """The page of ``leakscan review``, served by a thread until :meth:`stop` or the end of the process.

    Attributes:
        link: The address that lets one browser in, once.
        verdicts: The file that holds every verdict as soon as it was given.

    Args:
        run: The run folder.
        options: What the reviewer chose.

    Raises:
        UsageError: The port is in use, or a package of the extra ``review`` is missing.

    Example::

        review = result.review(blind=True)
        print(review.link)
        review.stop()
        leakscan.compare("a", "b", verdicts=review.verdicts)
    """

    def __init__(self, run: Path, options: ReviewOptions) -> None:
        from leakscan.review.page.server import ReviewServer

        self._server = ReviewServer(run, options, Settings(), say=lambda _: None)
        self.link = self._server.link()
        self.verdicts = self._server.session.file.path
        self._thread = threading.Thread(target=self._server.serve, name="review", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the review and frees the port; what was said stays in the file."""
        self._server.stop()
        self._thread.join(timeout=10)

    def __enter__(self) -> OpenReview:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        """The link, which is what to do with it."""
        return f"<OpenReview {self.link}>"

    def _repr_html_(self) -> str:
        """The link, for a notebook."""
        link = escape(self.link, quote=True)
        return f'<p><a href="{link}" target="_blank">Open the review</a> (lets one browser in, once)</p>'
