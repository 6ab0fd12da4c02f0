"""Details of the films that a run reads, put aside until its pairs are decided.

They come with a fingerprint for next to nothing, while describing a film later means reading and encoding it
again. They go to a file that has no name, so nothing is left of it however the run ends.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO

from leakscan.fingerprint.encoders.film.kept_details import prefix_of

MOST_ASIDE = 4_000_000_000
"""Bytes that are put aside at most: some 100,000 films with two networks."""


class DetailShelf:
    """What was seen of the details of films in this run, by picture and networks.

    A film that is not on it is described when it is needed: the shelf saves time and changes no answer.

    Args:
        folder: Where the file is made when there is something to put aside.
        most: The bytes that it may hold.

    Example:
        >>> shelf = DetailShelf(Path("."))
        >>> shelf.put("a picture", b"20123456789ab...")
        >>> shelf.get("a picture", "0123456789ab"), shelf.get("a picture", "ba9876543210")
        (b'20123456789ab...', None)
    """

    def __init__(self, folder: Path, most: int = MOST_ASIDE) -> None:
        self._folder, self._free = folder, most
        self._file: BinaryIO | None = None
        self._places: dict[bytes, tuple[int, int]] = {}

    def put(self, picture: str, details: bytes) -> None:
        """Puts the details of a film aside, as long as there is room for them.

        Args:
            picture: The hash of its pixels.
            details: What :func:`leakscan.fingerprint.encoders.film.kept_details.to_bytes` made of them.
        """
        key = _key(picture, details)
        if key in self._places or len(details) > self._free:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - it lives with the run
            start = self._file.seek(0, 2)
            self._file.write(details)
            self._file.flush()
        except OSError:  # a full disk: what is there stays, and the rest is described when it is needed
            self._free = 0
            return
        self._free -= len(details)
        self._places[key] = (start, len(details))

    def get(self, picture: str, digest: str) -> bytes | None:
        """The details of a film by some networks, ``None`` where they are not here.

        Args:
            picture: The hash of its pixels.
            digest: The digest of the networks.
        """
        place = self._places.get(_key(picture, prefix_of(digest)))
        if place is None or self._file is None:
            return None
        self._file.seek(place[0])
        found = self._file.read(place[1])
        return found if len(found) == place[1] else None


def _key(picture: str, details: bytes) -> bytes:
    return picture.encode() + details[: len(prefix_of(""))]
