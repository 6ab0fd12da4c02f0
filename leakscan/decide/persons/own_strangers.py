"""A run's own strangers: pairs of different declared subjects inside one dataset.

They are known impostors from the machines and the people of the run. Each dataset is searched against itself
as it is searched against another: which pairs score highest, and how many pairs there are in all. Pairs that
are proved to be one picture are no strangers.

Among more than about 50,000 declared subjects the search is approximate, as it is between two datasets
(:mod:`leakscan.match.index`). How many pairs there are in all stays exact, as it is not counted in it.
Of the pairs above the radius about one in a thousand may be missing (``RECALL`` there), though each can be
found from both of its ends. Rates that are counted on them come out lower by as little, far less than their
standard errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.tail import threshold_share
from leakscan.decide.persons.subjects import Subjects, paired_scores
from leakscan.decide.persons.templates import Templates
from leakscan.decide.rounding import STEP, on_steps
from leakscan.match.index import build_index
from leakscan.match.products import Vectors
from leakscan.types import Engine

FEW_BEST = 2
"""Best matches of every subject that get a detail match."""
_SAMPLE = 1_000  # subjects whose scores place the radius of the search
_MORE = 1.5  # times as many pairs are sought as the tail needs, as the radius is a guess
_MOST = 2_000_000  # pairs kept

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class OwnStrangers:
    """Pairs of different declared subjects of one dataset, those that score highest.

    Attributes:
        first: ``(k,)`` one subject of each pair, below the other.
        second: ``(k,)`` the other.
        score: ``(k,)`` normalised scores of their templates.
        best: ``(k,)`` whether the pair is among the ``FEW_BEST`` matches of one of the two; none where these
            were not sought.
        complete: The score from which no pair is missing, but for what an approximate search misses.
        pairs: How many pairs there are in all.
        subjects: How many declared subjects.
        encoder: The encoder whose fingerprints were compared.
    """

    first: Ints
    second: Ints
    score: Floats
    best: Bools
    complete: float
    pairs: int
    subjects: int
    encoder: str

    def chosen(self, high: Bools) -> Ints:
        """Those that would get a detail match if the two datasets were two, best first.

        Args:
            high: ``(k,)`` whose score is high enough for one.
        """
        at = np.flatnonzero(self.best & high)
        return at[np.argsort(-self.score[at], kind="stable")]

    def without(self, first: Ints, second: Ints) -> OwnStrangers:
        """The same without some pairs that are no strangers, as one picture shows both.

        Args:
            first: ``(n,)`` one subject of each pair.
            second: ``(n,)`` the other.
        """
        width = int(max(self.second.max(initial=0), first.max(initial=0), second.max(initial=0))) + 1
        out = np.unique(np.minimum(first, second) * width + np.maximum(first, second))
        keep = ~np.isin(self.first * width + self.second, out)
        return OwnStrangers(
            first=self.first[keep],
            second=self.second[keep],
            score=self.score[keep],
            best=self.best[keep],
            complete=self.complete,
            pairs=self.pairs - len(out),
            subjects=self.subjects,
            encoder=self.encoder,
        )


def own_strangers(
    people: Subjects,
    calibration: Calibration,
    ranked: bool = True,
    engine: Engine | None = None,
    unnamed: bool = False,
) -> OwnStrangers | None:
    """Searches one dataset against itself.

    Args:
        people: The subjects of the dataset.
        calibration: The calibration of the encoder.
        ranked: Whether to find the best matches of every subject as well, which detail matches ask for.
        engine: Where to search; on this machine unless it is a cluster.
        unnamed: Whether to take all pictures for people of their own where the dataset declares nobody. Then
            some pairs may show one person.

    Returns:
        ``None`` where the dataset declares fewer than two subjects.

    Example::

        own = own_strangers(subjects_of(side, calibration), calibration)
        own.score.max(), own.pairs  # the highest score of two different people, of so many
    """
    declared = np.arange(len(people)) if unnamed else np.flatnonzero(people.is_declared)
    n = len(declared)
    if n < 2:
        return None
    whole = people.templates
    templates = whole.taken(declared) if isinstance(whole, Templates) else whole[declared]
    pairs = n * (n - 1) // 2
    radius = _radius(templates, pairs)
    index = build_index(templates, n, engine)
    hits = index.range_search(templates, radius, 2 * _MOST + n)
    others = hits.query != hits.found
    i, j = hits.query[others], hits.found[others]
    high = np.unique(np.minimum(i, j) * n + np.maximum(i, j))
    best = np.zeros(0, np.int64)
    if ranked:
        # With the effort that the search above has chosen, where it is approximate.
        near = index.nearest(templates, min(FEW_BEST + 1, n))
        best = _best(near.query, near.found)
    keys = np.unique(np.concatenate([high, best]))
    first, second = declared[keys // n], declared[keys % n]
    score = paired_scores(people, people, first, second)
    lowest = radius if math.isnan(hits.cut_score) else float(hits.cut_score)
    if calibration.top:
        # Normalised scores come in another order than cosines: complete is what lies well above the radius.
        found = np.sort(score[np.isin(keys, high)])[::-1]
        lowest = float(found[len(found) // 3]) if len(found) else math.inf
    return OwnStrangers(
        first=first,
        second=second,
        score=score,
        best=np.isin(keys, best),
        complete=float(on_steps(lowest)) + STEP,  # what is missing may have been rounded up
        pairs=pairs,
        subjects=n,
        encoder=calibration.encoder,
    )


def _radius(templates: Vectors, pairs: int) -> float:
    """The cosine that somewhat more pairs reach than a tail is fitted to, guessed from a sample."""
    n = len(templates)
    some = templates[np.random.default_rng(n).permutation(n)[:_SAMPLE]]
    cosine = (some @ some.T)[np.triu_indices(len(some), 1)]
    share = min(0.5, _MORE * threshold_share(pairs), _MOST / pairs)
    return float(np.quantile(cosine, 1.0 - share))


def _best(query: Ints, found: Ints) -> Ints:
    """The packed pairs, lower number first, of the best matches of every row but itself."""
    n = int(query.max()) + 1
    other = query != found
    query, found = query[other], found[other]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    few = rank < FEW_BEST
    low, high = np.minimum(query[few], found[few]), np.maximum(query[few], found[few])
    return np.unique(low * n + high)
