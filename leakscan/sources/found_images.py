"""What a scan found, in little room: a folder may hold a million files that are no images."""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import overload

import numpy as np

from leakscan.engines.allocator import GivingBack, give_back_memory
from leakscan.sources.unpacking import close_all
from leakscan.types import ImageRef, ImageSource, Progress, Tags

_UNDECLARED = Tags()
_DIGITS = 64
_HEX = frozenset("0123456789abcdef")


class FoundImages(Sequence[ImageRef]):
    """The image references of one source, in the order of its scan.

    Images that can be used are kept as they are (``whole``). Files without an image differ in name and id
    alone and are kept as bytes, about 70 of them each, where an object takes 500. They are made anew when
    asked for.

    Args:
        refs: What a scan yields.

    Example:
        >>> text = ImageRef(image_id="ab" * 32, path="a.txt", format="", files=(), status="ignored")
        >>> found = FoundImages([text, replace(text, image_id="cd" * 32, path="b.txt")])
        >>> found[0] == text, len(found), len(found.whole)
        (True, 2, 0)
    """

    def __init__(self, refs: Iterable[ImageRef] = ()) -> None:
        self.whole: list[ImageRef] = []
        self._at = array.array("q")  # a place in ``whole``, or below zero that of bytes
        self._ids = bytearray()
        self._names = bytearray()
        self._ends = array.array("Q", [0])
        self._sort = array.array("I")
        self._sorts: dict[tuple[object, ...], int] = {}
        self._sorts_met: list[ImageRef] = []
        for ref in refs:
            self._add(ref)

    @classmethod
    def of(cls, source: ImageSource, progress: Progress) -> FoundImages:
        """What a scan of a source finds, or found earlier in this run.

        Args:
            source: The source; one that was scanned has what was found as its ``found``.
            progress: Receives how far the scan is.

        Raises:
            SourceError: The source cannot be read.
        """
        found = getattr(source, "found", None)
        if isinstance(found, cls):
            return found
        scanned, giving_back = cls(), GivingBack()
        for ref in source.scan(progress):
            scanned._add(ref)
            giving_back.check()
        close_all()  # the images are read elsewhere, and from the first on
        if (cell_values := sys.modules.get("leakscan.sources.cell_values")) is not None:
            cell_values.close_cursors()
        give_back_memory()
        return scanned

    def with_whole(self, refs: Sequence[ImageRef]) -> FoundImages:
        """The same images with others in place of ``whole``.

        Args:
            refs: The references, as many as ``whole`` has and in their order.
        """
        if len(refs) != len(self.whole):
            raise ValueError("There must be one reference for each of those that are whole.")
        other = FoundImages()
        other.__dict__.update(self.__dict__)  # the bytes are shared: nothing is added after a scan
        other.whole = list(refs)
        return other

    def unusable(self) -> Unusable:
        """Those of another status than ``ok``."""
        return Unusable(self)

    def usable(self) -> list[int]:
        """The places of the images of status ``ok``, ascending."""
        return [i for i, at in enumerate(self._at) if at >= 0 and self.whole[at].status == "ok"]

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[ImageRef]:
        return map(self.__getitem__, range(len(self)))

    @overload
    def __getitem__(self, at: int) -> ImageRef: ...

    @overload
    def __getitem__(self, at: slice) -> list[ImageRef]: ...

    def __getitem__(self, at: int | slice) -> ImageRef | list[ImageRef]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if self._at[at] >= 0:
            return self.whole[self._at[at]]
        return _named(self.sort_of(at), *self.name_of(at))

    def sort_of(self, at: int) -> ImageRef:
        """A reference without its id and path: there are few of those among files without an image.

        Args:
            at: Its place in the scan.
        """
        place = self._at[at]
        return _named(self.whole[place], "", "") if place >= 0 else self._sorts_met[self._sort[-1 - place]]

    def name_of(self, at: int) -> tuple[str, str]:
        """The id and the path of a reference.

        Args:
            at: Its place in the scan.
        """
        place = self._at[at]
        if place >= 0:
            return self.whole[place].image_id, self.whole[place].path
        place = -1 - place
        name = self._names[self._ends[place] : self._ends[place + 1]]
        return self._ids[32 * place : 32 * place + 32].hex(), name.decode("utf-8", "surrogatepass")

    def _add(self, ref: ImageRef) -> None:
        plain = ref.status != "ok" and not ref.files and ref.tags == _UNDECLARED
        if not plain or len(ref.image_id) != _DIGITS or not _HEX.issuperset(ref.image_id):
            self._at.append(len(self.whole))
            self.whole.append(ref)
            return
        self._at.append(-1 - len(self._sort))
        self._ids += bytes.fromhex(ref.image_id)
        self._names += ref.path.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._names))
        sort = (ref.status, ref.error, ref.error_path, ref.left_out, ref.format, ref.ndim, ref.frame)
        number = self._sorts.setdefault((*sort, ref.signature, ref.content, ref.notes), len(self._sorts))
        if number == len(self._sorts_met):
            self._sorts_met.append(_named(ref, "", ""))
        self._sort.append(number)


class Unusable:
    """What a scan found to be no usable image.

    Attributes:
        places: Their places in the scan, ascending.
        sorts: References without id and path, each sort once.
        numbers: The place in ``sorts`` of each.

    Args:
        found: What the scan found.
    """

    def __init__(self, found: FoundImages) -> None:
        self._found = found
        self.places = np.setdiff1d(np.arange(len(found)), np.array(found.usable(), np.int64), True)
        sorts: dict[ImageRef, int] = {}
        self.numbers = np.fromiter(
            (sorts.setdefault(found.sort_of(int(i)), len(sorts)) for i in self.places),
            np.int32,
            len(self.places),
        )
        self.sorts = list(sorts)

    def image_ids(self) -> Iterator[str]:
        """The id of each."""
        return (self._found.name_of(int(i))[0] for i in self.places)

    def paths(self) -> Iterator[str]:
        """The path of each."""
        return (self._found.name_of(int(i))[1] for i in self.places)


def _named(sort: ImageRef, image_id: str, path: str) -> ImageRef:
    return replace(sort, image_id=image_id, path=path)
