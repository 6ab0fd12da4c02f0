"""Do the folds of two brain volumes agree once the two are aligned to each other?

A fingerprint sees every volume where it alone was brought to. Two scans of one brain can be brought to each
other, which is more exact. What the two agree by says little by itself (thick slices show fewer folds), so it
stands beside what either agrees by with volumes of other people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from leakscan.decide.columns import DatasetPair
from leakscan.decide.copies.describing import load_pixels
from leakscan.decide.table import PairTable
from leakscan.errors import ImageError
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.settings import DecodeOptions

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

_STRANGERS = 4  # volumes of each dataset that a volume of the other is compared with besides
MOST_PAIRS = 100
"""How many pairs are compared, the best ones: as many as the report shows. It is evidence for a reader."""
_KEPT = 100  # volumes in memory, 6 MB each


class FoldEncoder(Protocol):
    """An encoder that can bring two volumes to each other.

    ``placed`` takes one canonical volume ``SHAPE`` uint8; ``agreement`` of two such is -1..1 and need not be
    the same both ways round.
    """

    def placed(self, canonical: npt.NDArray[np.uint8]) -> Any: ...

    def agreement(self, one: Any, other: Any) -> float: ...


def compare_folds(pair: DatasetPair, table: PairTable, context: RunContext) -> None:
    """Compares the ``MOST_PAIRS`` best pairs of volumes that scores call leaks or put under review, until the
    time is up.

    Fills the columns ``fold_agreement``, ``fold_strangers`` and ``fold_others`` of the table, of pairs
    whose pixels are at hand.

    Args:
        pair: The two datasets.
        table: Their pairs, decided as far as fingerprints go.
        context: The encoders that compare folds, and the time that is left.

    Example:
        ``compare_folds(pair, table, context)``, then ``table.fold_agreement`` is NaN where nothing was seen.
    """
    encoders = context.models.folds
    rows = _due(pair, table, encoders)
    if not rows:
        return
    context.progress.start("Comparing folds", len(rows))
    options = context.settings.reading
    folds = {name: _Folds(pair, name, encoder, options) for name, encoder in encoders.items()}
    partners: dict[tuple[int, int], set[int]] = {}
    for row in rows:
        i, j = int(table.a[row]), int(table.b[row])
        partners.setdefault((0, i), set()).add(j)
        partners.setdefault((1, j), set()).add(i)
    for row in rows:
        if context.budget.left <= 0:
            break
        i, j = int(table.a[row]), int(table.b[row])
        own = folds[str(pair.a.side.encoder[i])]
        agreement = own.agreement(i, j)
        if agreement is not None:
            others = [(i, k) for k in own.strangers(1, j, partners[0, i])]
            others += [(k, j) for k in own.strangers(0, i, partners[1, j])]
            usual = [a for a in (own.agreement(*two) for two in others) if a is not None]
            table.fold_agreement[row] = agreement
            table.fold_strangers[row] = max(usual, default=-1.0)
            table.fold_others[row] = len(usual)
        context.progress.advance()


def _due(pair: DatasetPair, table: PairTable, encoders: Mapping[str, FoldEncoder]) -> list[int]:
    """Leaks and rows under review whose encoder compares folds, best first."""
    if not encoders:
        return []
    serves = np.isin(pair.a.side.encoder, list(encoders))
    rows = np.flatnonzero((table.person_review | table.person_leak) & ~table.settled & serves[table.a])
    ranked: list[int] = rows[np.argsort(-table.person_score[rows], kind="stable")].tolist()
    return ranked[:MOST_PAIRS]


class _Folds:
    """Volumes brought to their place, and how they agree, each worked out once."""

    def __init__(self, pair: DatasetPair, name: str, encoder: FoldEncoder, options: DecodeOptions) -> None:
        self._columns = pair.a, pair.b
        self._encoder, self._options = encoder, options
        self._placed: dict[tuple[int, int], Any] = {}
        self._agreed: dict[tuple[int, int], float | None] = {}
        # By name and not by place, so that swapping the datasets changes nothing.
        self._ordered: list[list[int]] = [
            sorted(c.side.pictures(name).tolist(), key=c.picture_keys.__getitem__) for c in self._columns
        ]

    def agreement(self, i: int, j: int) -> float | None:
        """How the folds of picture ``i`` of A and ``j`` of B agree; ``None`` if one cannot be read."""
        if (i, j) not in self._agreed:
            ends = [
                (c.picture_keys[k], side, k)
                for side, (c, k) in enumerate(zip(self._columns, (i, j), strict=True))
            ]
            placed = [self._place(side, k) for _, side, k in sorted(ends)]
            both = placed[0] is not None and placed[1] is not None
            self._agreed[i, j] = self._encoder.agreement(*placed) if both else None
        return self._agreed[i, j]

    def strangers(self, side: int, own: int, partners: set[int]) -> list[int]:
        """Pictures of a side that are neither ``own``, of its subject, nor under suspicion themselves."""
        subjects = self._columns[side].side.subjects
        name = subjects[own]
        return [
            k
            for k in self._ordered[side]
            if k != own and k not in partners and (name is None or subjects[k] != name)
        ][:_STRANGERS]

    def _place(self, side: int, picture: int) -> Any:
        key = side, picture
        if key not in self._placed:
            pixels = self._columns[side].pixels(picture)
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
