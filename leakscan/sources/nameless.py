"""A source whose images have no names of their own, for a store that goes to somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from leakscan.sources.contents import content_mark
from leakscan.sources.identity import IdentityKey
from leakscan.types import ImageRef, ImageSource, Progress

ANOTHER = "another"
"""Stands in a sentence for the file that it would name."""


class NamelessSource:
    """The images of a source under keyed names, without dates, splits and notes.

    The names are stable: the same path has the same name in every run with the same key. Only who has the
    key can tell which path a name stands for. Frames of one file share a name.

    Attributes:
        name: The name of the dataset in what is shown here; the store has :attr:`alias`.
        alias: A keyed name of the dataset.
        paths: The path of every name that was given, filled by the scan.
        notices: What a user should know of the source, in sentences.

    Args:
        source: The source.
        key: What names are made with.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from PIL import Image
        >>> from leakscan.settings import DecodeOptions
        >>> from leakscan.sources.open import open_source
        >>> from leakscan.types import Silent
        >>> Image.fromarray(np.eye(8, dtype=np.uint8)).save("DOE_JANE.png")
        >>> source = NamelessSource(open_source("DOE_JANE.png", DecodeOptions()), IdentityKey(Path("key")))
        >>> (ref,) = source.scan(Silent())
        >>> ref.path[:6], len(ref.path), source.paths[ref.path]
        ('image-', 22, 'DOE_JANE.png')
    """

    def __init__(self, source: ImageSource, key: IdentityKey) -> None:
        self.name = source.name
        self.alias = f"dataset-{key.name(source.name)[:8]}"
        self.paths: dict[str, str] = {}
        self.notices: list[str] = []
        self._source, self._key = source, key

    def scan(self, progress: Progress) -> Iterator[ImageRef]:
        """Yields the images of the source; see :class:`~leakscan.types.ImageSource`."""
        for ref in self._source.scan(progress):
            shown = f"image-{self._key.name(ref.path)[:16]}"
            self.paths[shown] = ref.path
            yield replace(
                ref,
                # An unkeyed hash of a path can be tested by whoever can guess the path.
                image_id=self._key.name(ref.image_id),
                path=shown,
                signature=self._key.name(ref.signature),
                content=ref.content or content_mark([ref.signature]),
                tags=replace(ref.tags, acquired="", split=""),
                error=ref.error.replace("{path}", ANOTHER) if ref.error_path else ref.error,
                error_path="",
                notes=(),
            )
        self.notices.extend(getattr(self._source, "notices", ()))

    @property
    def patterns_met(self) -> set[str]:
        """The patterns to leave out that met a file of the source."""
        met: set[str] = getattr(self._source, "patterns_met", set())
        return met
