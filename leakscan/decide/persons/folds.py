"""The second look at two brain volumes: do their folds agree once the two are aligned to each other?

A fingerprint sees every volume where it alone was brought to. Two scans of one brain can be brought to each
other, which is more exact. What the two agree by says little by itself (thick slices show fewer folds), so it
stands beside what either agrees by with volumes of other people.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from leakscan.decide.columns import Columns, Known
from leakscan.decide.copies.copy_check import load_pixels
from leakscan.errors import ImageError
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.types import DecodeOptions, Progress

_STRANGERS = 4  # volumes of each dataset that a volume of the other is compared with besides
MOST_PAIRS = 100
"""Pairs that are looked at, the best ones: as many as the report shows. It is evidence for a person."""
_KEPT = 100  # volumes in memory, 6 MB each


class FoldEncoder(Protocol):
    """An encoder that can bring two volumes to each other.

    ``placed`` takes one canonical volume ``SHAPE`` uint8; ``agreement`` of two such is -1..1 and need not be
    the same both ways round.
    """

    def placed(self, canonical: npt.NDArray[np.uint8]) -> Any: ...

    def agreement(self, one: Any, other: Any) -> float: ...


@dataclass(frozen=True)
class FoldMatch:
    """How the folds of two volumes agree.

    Attributes:
        agreement: of the two, -1..1.
        strangers: the most that either agrees by with others, -1 if there are none.
        others: how many those were.
    """

    agreement: float
    strangers: float
    others: int


def compare_folds(
    positions: Sequence[int],
    pairs: npt.NDArray[np.int64],
    known: Known,
    encoders: Mapping[str, FoldEncoder],
    options: DecodeOptions,
    seconds: float,
    progress: Progress,
) -> dict[int, FoldMatch]:
    """Looks at the ``MOST_PAIRS`` best pairs of volumes, until the time is up.

    Args:
        positions: in ``pairs``, best first; those of other encoders are passed over.
        pairs: ``(n, 2)`` of pictures.
        known: rows and pixels of both datasets.
        encoders: name@digest -> encoder.
        options: for decoding.
        seconds: of wall time.
        progress: is told.

    Returns:
        Position -> what was seen; none for a pair whose pixels are not at hand.
    """
    sides = known.a.side, known.b.side
    due = [p for p in positions if str(sides[0].encoder[pairs[p, 0]]) in encoders][:MOST_PAIRS]
    if not due:
        return {}
    progress.start("Comparing folds", len(due))
    deadline = time.monotonic() + seconds
    found: dict[int, FoldMatch] = {}
    looks = {name: _Looks(known, name, encoder, options) for name, encoder in encoders.items()}
    partners: dict[tuple[int, int], set[int]] = {}
    for i, j in pairs[due].tolist():
        partners.setdefault((0, i), set()).add(j)
        partners.setdefault((1, j), set()).add(i)
    for position in due:
        if time.monotonic() > deadline:
            break
        look = looks[str(sides[0].encoder[pairs[position, 0]])]
        i, j = pairs[position].tolist()
        agreement = look.agreement(i, j)
        if agreement is not None:
            others = [(i, k) for k in look.strangers(1, j, partners[0, i])]
            others += [(k, j) for k in look.strangers(0, i, partners[1, j])]
            usual = [a for a in (look.agreement(*pair) for pair in others) if a is not None]
            found[position] = FoldMatch(agreement, max(usual, default=-1.0), len(usual))
        progress.advance()
    return found


class _Looks:
    """Volumes brought to their place, and how they agree, each worked out once."""

    def __init__(self, known: Known, name: str, encoder: FoldEncoder, options: DecodeOptions) -> None:
        self._columns = known.a, known.b
        self._encoder, self._options = encoder, options
        self._placed: dict[tuple[int, int], Any] = {}
        self._agreed: dict[tuple[int, int], float | None] = {}
        # By name and not by place, so that swapping the datasets changes nothing.
        self._ordered = [
            sorted(c.side.pictures(name).tolist(), key=lambda k, c=c: self._name(c, k))  # type: ignore[misc]
            for c in self._columns
        ]

    def agreement(self, i: int, j: int) -> float | None:
        """Of picture ``i`` of A and ``j`` of B; ``None`` if one cannot be read."""
        if (i, j) not in self._agreed:
            ends = [
                (self._name(c, k), side, k)
                for side, (c, k) in enumerate(zip(self._columns, (i, j), strict=True))
            ]
            placed = [self._place(side, k) for _, side, k in sorted(ends)]
            both = placed[0] is not None and placed[1] is not None
            self._agreed[i, j] = self._encoder.agreement(*placed) if both else None
        return self._agreed[i, j]

    def strangers(self, side: int, own: int, partners: set[int]) -> list[int]:
        """Pictures of a side that are neither ``own``, of its subject, nor under suspicion themselves."""
        subjects = self._columns[side].subjects()
        name = subjects[own]
        return [
            k
            for k in self._ordered[side]
            if k != own and k not in partners and (name is None or subjects[k] != name)
        ][:_STRANGERS]

    def _place(self, side: int, picture: int) -> Any:
        key = side, picture
        if key not in self._placed:
            columns = self._columns[side]
            pixels = columns.pixels(int(columns.side.rows[picture]))
            try:
                image = None if pixels is None else load_pixels(pixels, self._options)
            except (ImageError, OSError):
                image = None
            if len(self._placed) >= _KEPT:
                self._placed.pop(next(iter(self._placed)))
            self._placed[key] = None
            if image is not None and image.values.ndim == 3:
                grey = canonical_volume(image.values, image.spacing_mm, SHAPE, STEP_MM)
                self._placed[key] = self._encoder.placed(np.rint(grey * 255).astype(np.uint8))
        return self._placed[key]

    @staticmethod
    def _name(columns: Columns, picture: int) -> str:
        return columns.look(int(columns.side.rows[picture]))
