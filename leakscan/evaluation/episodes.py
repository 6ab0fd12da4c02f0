"""N-way K-shot episodes: is a query nearest to the supports of its own subject?

As in arXiv 2512.16685: an episode draws N subjects, K support images of each and one query, another
image of one of the N. The N * K supports are ranked by their similarity to the query. The K nearest
count:

- **Mean-Recall@K** is the share of the K supports of the query's subject that are among the K nearest,
  averaged over episodes; with K = 1 it is the share of episodes whose nearest support is right.
- **All-K** is the strict reading: the share of episodes in which *all* K are among the K nearest.
- **Hit@K** is the share of episodes in which at least one of them is.

Every subject of an episode has at least K + 1 images, so any of them could have been asked. Each of
them is asked about equally often, and figures are means over subjects of their episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.error_rates import WEIGHTINGS
from leakscan.evaluation.compared_rates import Figure
from leakscan.subject_bootstrap import Draws, resampled_ratio

EPISODES = 2000
SETTINGS = ((20, 1), (100, 1), (250, 1), (80, 5))
"""N and K of the reported figures, as far as there are enough subjects."""

_BLOCK = 64  # episodes scored at a time
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _BySubject:
    """Positions of images, grouped by their subjects.

    Attributes:
        order: ``(n,)`` images, those of one subject together.
        starts: ``(s,)`` where each subject's images begin in ``order``.
        counts: ``(s,)`` the number of images of each subject.
    """

    order: Ints
    starts: Ints
    counts: Ints

    @classmethod
    def of(cls, subjects: Ints) -> _BySubject:
        counts = np.bincount(subjects)
        return cls(np.argsort(subjects, kind="stable"), np.cumsum(counts) - counts, counts)

    def of_one(self, subject: int) -> Ints:
        start = self.starts[subject]
        return self.order[start : start + self.counts[subject]]

    def draw(self, drawn: Ints, usable: npt.NDArray[np.bool_], shots: int, rng: np.random.Generator) -> Ints:
        """``(len(drawn), shots)`` usable images, drawn without replacement from each drawn subject."""
        sizes = self.counts[drawn]
        slot = np.repeat(np.arange(len(drawn)), sizes)
        offset = np.arange(len(slot)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        images = self.order[self.starts[drawn][slot] + offset]
        kept = usable[images]
        images, slot = images[kept], slot[kept]
        by_slot = np.lexsort((rng.random(len(images)), slot))
        first = np.searchsorted(slot[by_slot], np.arange(len(drawn)))
        return np.asarray(images[by_slot][first[:, None] + np.arange(shots)], np.int64)


@dataclass(frozen=True)
class Episodes:
    """Drawn episodes; the same ones are put to every system.

    Attributes:
        ways: The number of subjects in an episode (N).
        shots: The number of supports of each subject (K).
        query: ``(e,)`` the image asked about.
        supports: ``(e, N, K)`` images; the subjects stand in random order.
        right: ``(e,)`` the place of the query's subject among the N.
    """

    ways: int
    shots: int
    query: Ints
    supports: Ints
    right: Ints


@dataclass(frozen=True)
class EpisodeScores:
    """What a system made of each episode.

    Attributes:
        recall: ``(e,)`` the share of the right K supports among the K nearest.
        every: ``(e,)`` bool, whether all of them are.
        hit: ``(e,)`` bool, whether any of them is.
    """

    recall: npt.NDArray[np.float64]
    every: npt.NDArray[np.bool_]
    hit: npt.NDArray[np.bool_]


def draw_episodes(
    subjects: Ints,
    ways: int,
    shots: int,
    episodes: int = EPISODES,
    seed: int = 0,
    unlike: Ints | None = None,
) -> Episodes | None:
    """Draws episodes from a labelled set, ``None`` where it has too few subjects.

    Args:
        subjects: ``(n,)`` codes from 0.
        ways: The number of subjects in an episode.
        shots: The number of supports of each subject.
        episodes: The number of episodes to draw.
        seed: The seed of the draws.
        unlike: ``(n,)`` a label per image, negative if unknown. Supports then have another known label
            than the query (such as the width at which the film was found).

    Example:
        >>> subjects = np.repeat(np.arange(30), 3)  # 30 subjects with three images each
        >>> draw_episodes(subjects, ways=20, shots=2, episodes=50).supports.shape
        (50, 20, 2)
        >>> draw_episodes(subjects, ways=20, shots=3) is None  # no image is left to ask with
        True
    """
    rng = np.random.default_rng([seed, ways, shots])
    images = _BySubject.of(subjects)
    counts = images.counts
    large = np.flatnonzero(counts > shots)
    partners = counts[subjects] - 1 if unlike is None else _partners(subjects, unlike)
    may_ask = partners >= shots
    targets = np.unique(subjects[may_ask])
    if len(large) < ways or not len(targets):
        return None
    query, supports, right = [], [], []
    for target in _in_turns(targets, episodes, rng):
        own = images.of_one(int(target))
        asked = int(rng.choice(own[may_ask[own]]))
        usable, eligible = np.arange(len(subjects)) != asked, large
        if unlike is not None:
            usable = (unlike >= 0) & (unlike != unlike[asked])
            enough = np.bincount(subjects[usable], minlength=len(counts)) >= shots
            eligible = large[enough[large]]
            if len(eligible) < ways:
                continue
        drawn = rng.permutation(eligible[eligible != target])[: ways - 1]
        place = int(rng.integers(ways))
        drawn = np.insert(drawn, place, target)
        query.append(asked)
        supports.append(images.draw(drawn, usable, shots, rng))
        right.append(place)
    if not query:
        return None
    return Episodes(ways, shots, np.array(query), np.array(supports), np.array(right))


def score_episodes(fingerprints: npt.NDArray[np.floating], episodes: Episodes) -> EpisodeScores:
    """Puts episodes to a system.

    Args:
        fingerprints: ``(n, d)``, L2-normalised.
        episodes: Episodes drawn from the same images.

    Example:
        >>> subjects = np.repeat(np.arange(30), 3)
        >>> episodes = draw_episodes(subjects, ways=20, shots=1, episodes=50)
        >>> float(score_episodes(np.eye(30)[subjects], episodes).recall.mean())  # faultless prints
        1.0
    """
    unit = np.asarray(fingerprints, np.float32)
    right = np.zeros(len(episodes.query))
    # In random order, so that equal scores do not keep the supports of one subject together.
    mixed = np.random.default_rng(0).permutation(episodes.ways * episodes.shots)
    for start in range(0, len(right), _BLOCK):
        at = slice(start, start + _BLOCK)
        shown = unit[episodes.supports[at].reshape(-1, len(mixed))[:, mixed]]
        scores = np.einsum("esd,ed->es", shown, unit[episodes.query[at]])
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, : episodes.shots]
        right[at] = (mixed[nearest] // episodes.shots == episodes.right[at, None]).sum(axis=1)
    return EpisodeScores(right / episodes.shots, right == episodes.shots, right > 0)


def episode_figures(scores: EpisodeScores, episodes: Episodes, subjects: Ints, draws: Draws) -> list[Figure]:
    """The three shares with their intervals.

    Args:
        scores: The scores of one system.
        episodes: The episodes that were scored.
        subjects: ``(n,)`` codes from 0.
        draws: ``(draws, subjects)`` from :func:`leakscan.subject_bootstrap.subject_draws`. With the
            weighting ``pairs`` a subject weighs as its number of images.

    Example:
        >>> from leakscan.subject_bootstrap import subject_draws
        >>> subjects = np.repeat(np.arange(30), 3)
        >>> episodes = draw_episodes(subjects, ways=20, shots=1, episodes=50)
        >>> scores = score_episodes(np.eye(30)[subjects], episodes)
        >>> figure = episode_figures(scores, episodes, subjects, subject_draws(30, 100))[0]
        >>> figure.metric, figure.weighting, figure.estimate.value
        ('20_way_1_shot.mean_recall', 'subjects', 1.0)
    """
    owner = subjects[episodes.query]
    images = np.bincount(subjects).astype(np.float64)
    asked = np.bincount(owner, minlength=len(images))
    name = setting_name(episodes.ways, episodes.shots)
    out = []
    for weighting in WEIGHTINGS:
        weight = np.where(asked > 0, images if weighting == "pairs" else 1.0, 0.0)
        for metric, values in (
            ("mean_recall", scores.recall),
            ("all_k", scores.every),
            ("hit", scores.hit),
        ):
            if episodes.shots == 1 and metric != "mean_recall":
                continue  # all three are one with a single support
            means = np.bincount(owner, values.astype(np.float64), len(images)) / np.maximum(asked, 1)
            figure = resampled_ratio(means * weight, weight, draws)
            out.append(Figure(f"{name}.{metric}", weighting, figure))
    return out


def setting_name(ways: int, shots: int) -> str:
    """``20_way_1_shot``.

    Example:
        >>> setting_name(20, 1)
        '20_way_1_shot'
    """
    return f"{ways}_way_{shots}_shot"


def _in_turns(targets: Ints, episodes: int, rng: np.random.Generator) -> Ints:
    """Who is asked: everybody once in random order, then everybody again."""
    rounds = -(-episodes // len(targets))
    return np.concatenate([rng.permutation(targets) for _ in range(rounds)])[:episodes]


def _partners(subjects: Ints, labels: Ints) -> Ints:
    """How many images of its subject have another known label than each image; 0 if its own is unknown."""
    known = labels >= 0
    of_subject = np.bincount(subjects[known], minlength=int(subjects.max()) + 1)
    cell = subjects * (int(labels.max()) + 2) + labels + 1
    _, at, sizes = np.unique(cell, return_inverse=True, return_counts=True)
    return np.where(known, of_subject[subjects] - sizes[at], 0).astype(np.int64)
