"""Everything that the page shows of images, rendered once and kept."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leakscan.decide.copies.picture_features import PictureFeatures, describe_picture
from leakscan.review.page.agreement_marks import FilmPlaces, agreeing_parts
from leakscan.review.page.alignment import lay
from leakscan.review.page.deck import ReviewCard, RunImage
from leakscan.review.page.gold import GoldPair, altered
from leakscan.review.page.originals import Missing, Originals
from leakscan.review.page.pictures import Level, film_pixels, pack, unpack, volume_thumb
from leakscan.review.page.shelf import Shelf
from leakscan.review.page.volumes import frame_pixels, laid_pixels
from leakscan.types import DecodedImage

VERSION = "view-1"
"""Changes whenever something is rendered otherwise, so that older pictures are not shown again."""


class PageViews:
    """Pictures of a run, its pairs laid on each other, and its volumes.

    Args:
        originals: Where the pixels are.
        shelf: Where what was rendered is kept.
        gold: Hidden pairs, whose altered images are made here.
        encoder: The name of the encoder of chest films that the run used; ``None`` for the shipped one.

    Example::

        views = PageViews(originals, Shelf(cache / "review", 512 << 20))
        views.film(image, "screen")
    """

    def __init__(
        self,
        originals: Originals,
        shelf: Shelf,
        gold: Sequence[GoldPair] = (),
        encoder: str | None = None,
    ) -> None:
        self._originals, self._shelf = originals, shelf
        self._places = FilmPlaces(encoder)
        self._made: Mapping[str, tuple[RunImage, str]] = {
            pair.card.images_b[0].key: pair.made_from for pair in gold if pair.made_from is not None
        }

    def film(self, image: RunImage, level: Level) -> bytes:
        """A picture, packed; of a volume only ``thumb`` exists.

        Raises:
            Missing: Its pixels are not at hand.
        """
        return self._shelf.get(
            f"{VERSION} film {self._name(image)} {level}", lambda: self._film(image, level)
        )

    def volume(self, image: RunImage) -> bytes:
        """A volume on its own frame, packed.

        Raises:
            Missing: Its pixels are not at hand, or it is none.
        """
        return self._shelf.get(
            f"{VERSION} volume {self._name(image)}", lambda: frame_pixels(self._volume(image))
        )

    def laid_volume(self, a: RunImage, b: RunImage) -> bytes:
        """Volume b on the frame of volume a, packed.

        Raises:
            Missing: The pixels of one are not at hand, or it is no volume.
        """
        name = f"{VERSION} volume {self._name(b)} on {self._name(a)}"
        return self._shelf.get(name, lambda: laid_pixels(self._volume(a), self._volume(b)))

    def laid(self, a: RunImage, b: RunImage, transform: str) -> dict[str, Any]:
        """How picture b lies on picture a, with the keypoints that agree.

        Raises:
            Missing: The pixels of one are not at hand.
        """
        name = f"{VERSION} laid {self._name(b)} on {self._name(a)} {transform}"
        found: dict[str, Any] = json.loads(self._shelf.get(name, lambda: self._lay(a, b, transform)))
        return found

    def places(self, a: RunImage, b: RunImage) -> list[list[float]]:
        """Places of two films that look alike, as :class:`FilmPlaces` gives them; none of other pictures.

        Raises:
            Missing: The pixels of one are not at hand, or one is a volume.
        """
        if {a.row["kind"], b.row["kind"]} != {"chest_radiograph"}:
            return []

        def make() -> bytes:
            films = [self._pixels(image).values for image in (a, b)]
            if any(film.ndim != 2 for film in films):
                raise Missing("It is a volume.")
            found = self._places(films[0], films[1])
            return json.dumps([[round(float(v), 2) for v in place] for place in found]).encode()

        name = f"{VERSION} places {self._name(a)} {self._name(b)} {self._places.name}"
        found: list[list[float]] = json.loads(self._shelf.get(name, make))
        return found

    def parts(self, a: RunImage, b: RunImage) -> bytes:
        """How well two volumes agree around each place of the first one's frame, packed.

        Raises:
            Missing: The pixels of one are not at hand, or it is no volume.
        """

        def make() -> bytes:
            one, other = unpack(self.volume(a))[1], unpack(self.laid_volume(a, b))[1]
            return pack(agreeing_parts(one.astype(np.float32), other.astype(np.float32)), {})

        return self._shelf.get(f"{VERSION} parts {self._name(b)} on {self._name(a)}", make)

    def prepare(self, card: ReviewCard) -> None:
        """Renders what the page shows first of a card."""
        lead = card.lead
        try:
            if lead.a.ndim == 3 and lead.b.ndim == 3:
                self.volume(lead.a)
                self.laid_volume(lead.a, lead.b)
                return
            self.film(lead.a, "screen")
            self.film(lead.b, "screen")
            self.laid(lead.a, lead.b, lead.row["transform"] or "")
        except Missing:
            return  # the page says so when the card is opened

    def _name(self, image: RunImage) -> str:
        return f"{image.picture} {image.key}" if image.key in self._made else image.picture

    def _pixels(self, image: RunImage) -> DecodedImage:
        made = self._made.get(image.key)
        if made is None:
            return self._originals.pixels(image)
        return altered(self._originals.pixels(made[0]), made[1], seed=image.key)

    def _film(self, image: RunImage, level: Level) -> bytes:
        decoded = self._pixels(image)
        if decoded.values.ndim != 3:
            return film_pixels(decoded.values, level)
        if level != "thumb":
            raise Missing("It is a volume.")
        return volume_thumb(decoded.values, decoded.spacing_mm)

    def _volume(self, image: RunImage) -> DecodedImage:
        decoded = self._pixels(image)
        if decoded.values.ndim < 3:
            raise Missing("It is no volume.")
        return decoded

    def _lay(self, a: RunImage, b: RunImage, transform: str) -> bytes:
        (one, size_a), (other, size_b) = self._described(a), self._described(b)
        found = lay(one, other, size_a, size_b, transform)
        points = [[round(float(v), 1) for v in point] for point in found.points]
        return json.dumps({**found.data(), "points": points}).encode()

    def _described(self, image: RunImage) -> tuple[PictureFeatures, tuple[int, int]]:
        values = self._pixels(image).values
        if values.ndim != 2:
            raise Missing("It is a volume.")
        return describe_picture(values), (values.shape[0], values.shape[1])


_LAST_PICTURE_SECONDS = 10.0  # a picture takes far less, but reading may hang on a network share


class Ahead:
    """A thread that renders what the reviewer will ask for next.

    Args:
        views: What renders.

    Example::

        ahead = Ahead(views)
        ahead.want(session.queue(wish)[:8])
    """

    def __init__(self, views: PageViews) -> None:
        self._views = views
        self._lock = threading.Lock()
        self._wanted: list[ReviewCard] = []
        self._ended = False
        self._bell: queue.Queue[None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="pictures ahead", daemon=True)
        self._thread.start()

    def want(self, cards: Sequence[ReviewCard]) -> None:
        """Renders these cards next; what was wanted before and is not begun is forgotten."""
        with self._lock:
            self._wanted = list(cards)
        self._bell.put(None)

    def end(self) -> None:
        """Ends the thread once the picture in hand is rendered.

        A process that ends while another thread runs native code may be aborted.
        """
        with self._lock:
            self._ended, self._wanted = True, []
        self._bell.put(None)
        self._thread.join(_LAST_PICTURE_SECONDS)

    def _work(self) -> None:
        while not self._ended:
            self._bell.get()
            while (card := self._next()) is not None:
                try:
                    self._views.prepare(card)
                except Exception:
                    continue

    def _next(self) -> ReviewCard | None:
        with self._lock:
            return self._wanted.pop(0) if self._wanted else None
