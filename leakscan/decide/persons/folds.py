"""Do the folds of two brain volumes agree once the two are aligned to each other?

A fingerprint sees every volume where it alone was brought to. Two scans of one brain can be brought to each
other, which is more exact. What the two agree by says little by itself (thick slices show fewer folds), so it
stands beside what either agrees by with volumes of other people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from leakscan.decide.columns import DatasetPair
from leakscan.decide.copies.describing import Pixels, load_pixels
from leakscan.decide.table import PairTable
from leakscan.errors import ImageError
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.settings import DecodeOptions

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

_STRANGERS = 4  # volumes of each dataset that a volume of the other is compared with besides
MOST_PAIRS = 100
"""How many pairs are compared, the best ones: as many as the report shows. It is evidence for a reader."""
_AT_ONCE = 4  # pairs that are worked out together, with those that they are held against
_KEPT = 100  # volumes in memory, 6 MB each

Pair = tuple[int, int]
T = TypeVar("T")
R = TypeVar("R")


class FoldEncoder(Protocol):
    """An encoder that can bring two volumes to each other.

    ``placed`` takes one canonical volume ``SHAPE`` uint8; ``agreement`` of two such is -1..1 and need not be
    the same both ways round. ``runs_in_workers`` says whether it may be sent to worker processes.
    """

    @property
    def runs_in_workers(self) -> bool: ...

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
    folds = {name: _Folds(pair, name, encoder, context) for name, encoder in encoders.items()}
    partners: dict[Pair, set[int]] = {}
    for row in rows:
        i, j = int(table.a[row]), int(table.b[row])
        partners.setdefault((0, i), set()).add(j)
        partners.setdefault((1, j), set()).add(i)
    for start in range(0, len(rows), _AT_ONCE):
        window = [_Meeting.of(row, table, pair, folds, partners) for row in rows[start : start + _AT_ONCE]]
        for own in folds.values():
            own.work_out([two for one in window if one.folds is own for two in (one.pair, *one.others)])
        for one in window:
            agreement = one.folds.agreed.get(one.pair)
            known = [one.folds.agreed.get(two, math.nan) for two in one.others]
            if agreement is not None and not math.isnan(agreement):
                usual = [found for found in known if not math.isnan(found)]
                table.fold_agreement[one.row] = agreement
                table.fold_strangers[one.row] = max(usual, default=-1.0)
                table.fold_others[one.row] = len(usual)
        context.progress.advance(len(window))
        if context.budget.left <= 0:
            break


def _due(pair: DatasetPair, table: PairTable, encoders: Mapping[str, FoldEncoder]) -> list[int]:
    """Leaks and rows under review whose encoder compares folds, best first."""
    if not encoders:
        return []
    serves = np.isin(pair.a.side.encoder, list(encoders))
    rows = np.flatnonzero((table.person_review | table.person_leak) & ~table.settled & serves[table.a])
    ranked: list[int] = rows[np.argsort(-table.person_score[rows], kind="stable")].tolist()
    return ranked[:MOST_PAIRS]


@dataclass(frozen=True)
class _Meeting:
    """A row of the table, and the pairs that its folds are held against.

    Attributes:
        row: The number of the row.
        folds: What is known of volumes of its encoder.
        pair: Its pictures of A and of B.
        others: The same pictures, each with volumes of other people.
    """

    row: int
    folds: _Folds
    pair: Pair
    others: list[Pair]

    @classmethod
    def of(
        cls,
        row: int,
        table: PairTable,
        pair: DatasetPair,
        folds: Mapping[str, _Folds],
        partners: Mapping[Pair, set[int]],
    ) -> _Meeting:
        i, j = int(table.a[row]), int(table.b[row])
        own = folds[str(pair.a.side.encoder[i])]
        others = [(i, k) for k in own.strangers(1, j, partners[0, i])]
        others += [(k, j) for k in own.strangers(0, i, partners[1, j])]
        return cls(row, own, (i, j), others)


class _Folds:
    """Volumes brought to their place, and how they agree, each worked out once.

    Args:
        pair: The two datasets.
        name: The name of the encoder.
        encoder: The encoder.
        context: What the run holds; its engine, settings, memory and budget are used.

    Attributes:
        agreed: How pictures of A and of B agree, as far as it was worked out; NaN if one cannot be read.
    """

    def __init__(self, pair: DatasetPair, name: str, encoder: FoldEncoder, context: RunContext) -> None:
        self._columns = pair.a, pair.b
        self._name, self._encoder, self._context = name, encoder, context
        self._placed: dict[Pair, Any] = {}  # by side and picture
        self.agreed: dict[Pair, float] = {}
        # By name and not by place, so that swapping the datasets changes nothing.
        self._ordered: list[list[int]] = [
            sorted(c.side.pictures(name).tolist(), key=c.picture_keys.__getitem__) for c in self._columns
        ]

    def work_out(self, pairs: Sequence[Pair]) -> None:
        """Finds how pairs of pictures agree, if there is time; what an earlier run found is remembered."""
        wanted = {two: self._keys(*two) for two in pairs if two not in self.agreed}
        known = self._context.memory.fold_agreements(self._name, list(wanted.values()))
        self.agreed.update({two: known[keys] for two, keys in wanted.items() if keys in known})
        left = [two for two in wanted if two not in self.agreed and self._context.budget.left > 0]
        self._place({end for i, j in left for end in ((0, i), (1, j))})
        found = []
        agreements = self._map(partial(_agreement, self._encoder), (self._ends(*two) for two in left))
        for two, agreement in zip(left, agreements, strict=True):
            self.agreed[two] = agreement
            if not math.isnan(agreement):
                found.append((*wanted[two], agreement))
        self._context.memory.keep_fold_agreements(self._name, found)

    def strangers(self, side: int, own: int, partners: set[int]) -> list[int]:
        """Pictures of a side that are neither ``own``, of its subject, nor under suspicion themselves."""
        subjects = self._columns[side].side.subjects
        name = subjects[own]
        return [
            k
            for k in self._ordered[side]
            if k != own and k not in partners and (name is None or subjects[k] != name)
        ][:_STRANGERS]

    def _keys(self, i: int, j: int) -> tuple[str, str]:
        return self._columns[0].picture_keys[i], self._columns[1].picture_keys[j]

    def _ends(self, i: int, j: int) -> tuple[Any, Any]:
        """What was placed of both, in the order of their names."""
        ends = sorted(zip(self._keys(i, j), (0, 1), (i, j), strict=True))
        one, other = (self._placed.get((side, picture)) for _, side, picture in ends)
        return one, other

    def _place(self, pictures: Collection[Pair]) -> None:
        """Brings volumes to their place."""
        missing = sorted(set(pictures) - self._placed.keys())
        for old in [key for key in self._placed if key not in pictures][: len(missing)]:
            if len(self._placed) + len(missing) > _KEPT:
                del self._placed[old]
        pixels = (self._columns[side].pixels(picture) for side, picture in missing)
        place = partial(_place, self._encoder, self._context.settings.reading)
        self._placed.update(zip(missing, self._map(place, pixels), strict=True))

    def _map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterable[R]:
        """In workers, where the encoder runs there."""
        if self._encoder.runs_in_workers:
            return self._context.engine.map(function, items, chunk=1)
        return map(function, items)


def _place(encoder: FoldEncoder, options: DecodeOptions, pixels: Pixels | None) -> Any:
    """A volume brought to its place; ``None`` where it cannot be read."""
    try:
        image = None if pixels is None else load_pixels(pixels, options)
    except (ImageError, OSError):
        return None
    if image is None or image.values.ndim != 3:
        return None
    grey = canonical_volume(image.values, image.spacing_mm, SHAPE, STEP_MM)
    return encoder.placed(np.rint(grey * 255).astype(np.uint8))


def _agreement(encoder: FoldEncoder, ends: tuple[Any, Any]) -> float:
    one, other = ends
    return math.nan if one is None or other is None else encoder.agreement(one, other)
