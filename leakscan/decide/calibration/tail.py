"""How often two different people score this high: a p-value with its uncertainty and its limit.

Below a threshold the impostors are counted; above it, a generalised Pareto distribution is fitted to
their excesses (peaks over threshold, Coles 2001) and the two meet at the threshold. Intervals come
from a bootstrap that draws *subjects*: a pair counts as often as both of its subjects were drawn
(pigeonhole bootstrap, Owen 2007), because two pairs that share a subject are dependent.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.impostors import ImpostorSample
from leakscan.decide.calibration.pareto import anderson_darling, fit_p_value, fit_pareto, quantile, survival
from leakscan.errors import ModelError, SourceError

Floats = npt.NDArray[np.float64]

EXTRAPOLATION = 30.0
"""How far below one pair of all the careful continuation of the distribution goes. Measured on held-out
subjects (``leakscan.research.tail_check``): between the floor and a twentieth of it the rate is 0.4 to 0.7
times the stated one; by the distribution itself, without that care, it would be 2 to 4 times."""
LEAST_SUBJECTS = 40
_FORMAT = 1
_CAREFUL = 0.9  # of the bootstrap draws state no higher rate than what is stated beyond the floor
_GRID = 96  # tabulated points below the threshold, and beyond the floor
_DEEPEST = 500.0  # the end of the scale of depth
_FIT_DRAWS = 199  # of the goodness of fit
_QUANTILES = 40  # points of the Q-Q plot
_BLOCK = 2**14  # scores whose replicates are computed at once


@dataclass(frozen=True)
class Fit:
    """Whether the excesses look like the fitted distribution.

    Attributes:
        statistic: The Anderson-Darling statistic, for ``size`` independent excesses.
        p_value: A p-value that is small where the distribution does not fit.
        size: How many independent excesses the dependent ones are worth, by the bootstrap's variance.
        model: Ascending scores at which the Q-Q plot's points lie by the model.
        observed: The scores there.
    """

    statistic: float
    p_value: float
    size: int
    model: tuple[float, ...]
    observed: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Tail:
    """False match rate of one encoder and one normalisation as a function of the score.

    Attributes:
        source: Which images it was fitted on, in words.
        n_images: How many images those are.
        n_subjects: How many subjects they show.
        n_pairs: How many pairs of images they make.
        n_effective: How many pairs of subjects; images of the same two subjects add little.
        share: The share of impostors (each pair of subjects weighing the same) above ``threshold``.
        threshold: The score where counting ends and the distribution begins.
        shape: The shape of the distribution; negative where scores have an upper end.
        scale: The scale of the distribution, in units of the score.
        bulk_score: Ascending scores up to ``threshold``.
        bulk_fmr: False match rates there, descending from 1 to ``share``.
        replicates: Share, shape and scale of each bootstrap draw.
        fit: The goodness of fit.
    """

    source: str
    n_images: int
    n_subjects: int
    n_pairs: int
    n_effective: int
    share: float
    threshold: float
    shape: float
    scale: float
    bulk_score: tuple[float, ...]
    bulk_fmr: tuple[float, ...]
    replicates: tuple[tuple[float, float, float], ...]
    fit: Fit

    @property
    def floor(self) -> float:
        """One pair of all: a third of the rule of three, down to which the fitted distribution is
        believed.
        """
        return min(self.share, 1.0 / self.n_effective)

    @property
    def least(self) -> float:
        """The smallest p-value that is stated."""
        return self.floor / EXTRAPOLATION

    def p_value(self, score: npt.ArrayLike) -> Floats:
        """False match rate at scores of any shape, from ``least`` to 1; NaN stays NaN.

        Down to ``floor`` it is the estimate. Further out nothing was measured, and it is what nine in ten of
        the bootstrap's draws do not exceed, which falls more slowly than the distribution does.
        """
        at = np.asarray(score, np.float64)
        rate = self._counted(at)
        above = at > self.threshold
        rate[above] = self.share * survival(at[above] - self.threshold, self.shape, self.scale)
        beyond = rate < self.floor
        if beyond.any():
            scores, careful = self._careful
            rate[beyond] = np.exp(np.interp(at[beyond], scores, careful))
        return np.where(np.isnan(at), np.nan, rate)

    def depth(self, score: npt.ArrayLike) -> Floats:
        """``-log`` of the rate, from the floor on falling as it does there: a scale and no rate.

        Strangers of a run are read on it (:mod:`leakscan.decide.calibration.own_tail`), and how they fall off
        on it is their own. Beyond the floor it is exponential, which bends neither way.
        """
        at = np.asarray(score, np.float64)
        start = self.score_at(self.floor)
        steep = 1.0 / max(self.scale + self.shape * (start - self.threshold), 1e-3 * self.scale)
        below = -np.log(self.p_value(np.minimum(at, start)))
        return np.asarray(np.minimum(below + np.maximum(at - start, 0.0) * steep, _DEEPEST), np.float64)

    @cached_property
    def _careful(self) -> tuple[Floats, Floats]:
        """Ascending scores beyond the floor, and the logarithms of the rates that are stated there."""
        start = self.score_at(self.floor)
        steps = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, _GRID)]) * self.scale
        upper = np.quantile(self._replicate(start + steps), _CAREFUL, axis=0)
        return start + steps, np.log(np.clip(np.minimum.accumulate(upper), self.least, self.floor))

    def interval(self, score: npt.ArrayLike, subjects: int | None = None) -> tuple[Floats, Floats]:
        """95 % interval of the false match rate at scores of any shape, neither end below ``floor``.

        Below the threshold the odds of the rate move as those of ``share`` do, so that the interval
        shrinks to nothing where all scores are above.

        Args:
            score: Scores, few enough for ``draws`` values of each: thresholds, not all pairs of a run.
            subjects: How many *other* subjects of the same population the interval must hold for. Their
                choice is a draw as well, so the logarithms spread by sqrt(1 + n / subjects).
        """
        at = np.asarray(score, np.float64)
        flat = at.reshape(-1)
        both = np.empty((2, len(flat)))
        for start in range(0, len(flat), _BLOCK):
            part = slice(start, start + _BLOCK)
            ends = np.quantile(self._replicate(flat[part]), [0.025, 0.5, 0.975], axis=0)
            if subjects is not None:
                log = np.log(np.maximum(ends, self.floor))
                ends = np.exp(log[1] + (log - log[1]) * math.sqrt(1.0 + self.n_subjects / subjects))
            both[:, part] = np.clip(ends[[0, 2]], self.floor, 1.0)
        both[:, np.isnan(flat)] = np.nan
        return both[0].reshape(at.shape), both[1].reshape(at.shape)

    def score_at(self, fmr: float) -> float:
        """The score whose false match rate is ``fmr``, between ``least`` and 1."""
        if fmr < self.floor:
            scores, careful = self._careful
            return float(np.interp(-math.log(max(fmr, self.least)), -careful, scores))
        wanted = min(fmr, 1.0)
        if wanted < self.share:
            return self.threshold + float(quantile(wanted / self.share, self.shape, self.scale))
        return float(
            np.interp(math.log(wanted), np.log(np.array(self.bulk_fmr)[::-1]), self.bulk_score[::-1])
        )

    def score_beyond(self, rate: float) -> float:
        """The score whose rate is ``rate`` by the fitted distribution, past the floor if need be.

        No p-value may rest on it: so far out nothing was measured. It puts pairs up for review.
        """
        if rate >= self.share:
            return self.score_at(rate)
        return self.threshold + float(quantile(rate / self.share, self.shape, self.scale))

    def to_json(self) -> str:
        """One JSON object with all attributes."""
        return json.dumps({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Tail:
        """Reads what :meth:`to_json` wrote.

        Raises:
            ModelError: The text is damaged or of another format.
        """
        try:
            raw = json.loads(text)
            if raw.pop("format") != _FORMAT:
                raise ModelError(f"The tail is written in another format than {_FORMAT}.", "Update leakscan.")
            fit = Fit(**{**raw["fit"], **{k: tuple(raw["fit"][k]) for k in ("model", "observed")}})
            bulk = {k: tuple(float(v) for v in raw[k]) for k in ("bulk_score", "bulk_fmr")}
            draws = tuple((float(a), float(b), float(c)) for a, b, c in raw["replicates"])
            return cls(**{**raw, **bulk, "replicates": draws, "fit": fit})
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise ModelError(f"The tail is damaged: {e}.", "Make the calibration again.") from e

    def _counted(self, at: Floats) -> Floats:
        return np.asarray(np.exp(np.interp(at, self.bulk_score, np.log(self.bulk_fmr))), np.float64)

    def _replicate(self, at: Floats) -> Floats:
        share, shape, scale = np.array(self.replicates).T[:, :, None]
        beyond = share * survival(np.nan_to_num(at - self.threshold), shape, scale)
        counted = np.minimum(self._counted(at), 1.0 - 1e-12)
        odds = counted / (1.0 - counted) * (share / (1.0 - share)) / (self.share / (1.0 - self.share))
        return np.asarray(np.where(at > self.threshold, beyond, odds / (1.0 + odds)), np.float64)


def threshold_share(n_subject_pairs: int) -> float:
    """The share of impostors that the distribution is fitted to: the square root of 10 n of n pairs.

    1 % of 1e5 pairs, 0.3 % of 1e6, at most 10 %. More data both fill the tail and let the threshold
    rise, as the limit theorem wants it; a fixed share would keep its bias however many the data.

    Example:
        >>> [round(threshold_share(pairs), 4) for pairs in (1_000, 100_000, 1_000_000)]
        [0.1, 0.01, 0.0032]
    """
    return min(0.1, math.sqrt(10.0 / n_subject_pairs))


def fit_tail(sample: ImpostorSample, *, share: float | None = None, draws: int = 200, seed: int = 0) -> Tail:
    """Fits a tail to the scores of subjects known to differ.

    Args:
        sample: The impostors, as :func:`leakscan.decide.calibration.impostors.impostor_pairs` makes them.
        share: The share of the impostors to fit the distribution to (0..0.5); by default
            :func:`threshold_share`. Less where the sample kept fewer.
        draws: How many bootstrap draws.
        seed: The seed of the draws.

    Raises:
        SourceError: There are fewer than ``LEAST_SUBJECTS`` subjects, or their scores do not vary.

    Example::

        tail = fit_tail(impostor_pairs(prints, subjects))
        tail.p_value([0.5, 0.9])  # how often two different people are as alike as this
    """
    where = sample.source or "The sample"
    if sample.n_subjects < LEAST_SUBJECTS:
        raise SourceError(
            f"{where} declares {sample.n_subjects} subjects, too few to tell how alike strangers can be.",
            f"At least {LEAST_SUBJECTS} declared subjects are needed; some hundred are better.",
        )
    total = float(sample.n_subject_pairs)
    order = np.argsort(-sample.score, kind="stable")
    running = np.cumsum(sample.weight[order])
    wanted = (share or threshold_share(sample.n_subject_pairs)) * total
    last = int(np.searchsorted(running, wanted))
    threshold = float(sample.score[order[min(last, len(order) - 1)]]) if len(order) else sample.cut
    chosen = sample.score > threshold
    excess, weight = sample.score[chosen] - threshold, sample.weight[chosen]
    if len(excess) < LEAST_SUBJECTS or float(np.ptp(excess)) <= 0:
        raise SourceError(f"The scores of different subjects of {where} hardly vary, so they say nothing.")
    shape, scale = fit_pareto(excess, weight)
    above = float(weight.sum()) / total
    replicates = _bootstrap(sample, chosen, excess, (shape, scale), draws, seed)
    bulk_score, bulk_fmr = _bulk(sample, threshold, above, total)
    return Tail(
        source=sample.source,
        n_images=sample.n_images,
        n_subjects=sample.n_subjects,
        n_pairs=sample.n_pairs,
        n_effective=sample.n_subject_pairs,
        share=above,
        threshold=threshold,
        shape=shape,
        scale=scale,
        bulk_score=bulk_score,
        bulk_fmr=bulk_fmr,
        replicates=tuple((float(f"{a:.6g}"), float(f"{b:.6g}"), float(f"{c:.6g}")) for a, b, c in replicates),
        fit=_goodness(excess, weight, threshold, (shape, scale), replicates[:, 0], seed),
    )


def _bootstrap(
    sample: ImpostorSample,
    chosen: npt.NDArray[np.bool_],
    excess: Floats,
    fitted: tuple[float, float],
    draws: int,
    seed: int,
) -> Floats:
    """``(draws, 3)`` share, shape and scale with subjects drawn again, within their sets."""
    rng = np.random.default_rng(seed)
    a, b, weight = sample.subject_a[chosen], sample.subject_b[chosen], sample.weight[chosen]
    sets = [np.flatnonzero(sample.members == m) for m in np.unique(sample.members)]
    out = np.empty((draws, 3))
    for draw in range(draws):
        times = np.zeros(sample.n_subjects)
        met = 0.0
        for subjects in sets:
            times[subjects] = rng.multinomial(len(subjects), np.full(len(subjects), 1.0 / len(subjects)))
            # Pairs of a subject with itself are no impostors, so they are in neither sum.
            met += 0.5 * (len(subjects) ** 2 - float((times[subjects] ** 2).sum()))
        drawn = weight * times[a] * times[b]
        few = np.count_nonzero(drawn) < 10
        out[draw] = (float(drawn.sum()) / met, *(fitted if few else fit_pareto(excess, drawn)))
    return out


def _bulk(
    sample: ImpostorSample, threshold: float, above: float, total: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores at tabulated rates, the last being the threshold."""
    order = np.argsort(-sample.score, kind="stable")
    kept = np.cumsum(sample.weight[order]) / total
    score, rate = sample.score[order], kept
    if len(sample.mass):
        fallen = (
            kept[-1] + np.cumsum(sample.mass[::-1]) / total if len(kept) else np.cumsum(sample.mass[::-1])
        )
        score = np.concatenate([score, sample.edges[:-1][::-1]])
        rate = np.concatenate([rate, fallen])
    rate = np.minimum.accumulate(rate[::-1])[::-1]
    half = np.geomspace(above, 0.5, _GRID // 2)
    levels = np.concatenate([half, 1.0 - np.geomspace(0.5, 1e-4, _GRID // 2)[1:]])
    at = np.interp(levels, rate, score)
    points = {round(float(s), 9): float(f) for s, f in zip(at[1:], levels[1:], strict=True) if s < threshold}
    lowest = float(score[-1]) - 1e-9
    scores = (lowest, *sorted(points), threshold)
    return scores, (1.0, *(points[s] for s in sorted(points)), above)


def _goodness(
    excess: Floats, weight: Floats, threshold: float, fitted: tuple[float, float], shares: Floats, seed: int
) -> Fit:
    mean = float(shares.mean())
    worth = mean**2 / max(float(shares.var()), 1e-300)
    size = int(np.clip(worth, 10, len(excess)))
    statistic = anderson_darling(excess, weight, *fitted, size=size)
    order = np.argsort(excess)
    upto = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum()
    shares_above = np.geomspace(0.95, max(1.0 - upto[-1], 1e-9), _QUANTILES)
    return Fit(
        statistic,
        fit_p_value(statistic, *fitted, size=size, draws=_FIT_DRAWS, seed=seed),
        size,
        tuple(float(f"{v:.6g}") for v in threshold + quantile(shares_above, *fitted)),
        tuple(float(f"{v:.6g}") for v in threshold + np.interp(1.0 - shares_above, upto, excess[order])),
    )
