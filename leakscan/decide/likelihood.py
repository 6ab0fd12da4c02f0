"""One log-likelihood ratio from the fingerprint's score and the anatomy that matches.

How much likelier the two findings are for one person than for two, among pairs that the fingerprint
already found alike: prior-weighted logistic regression with the prior taken out again (Brümmer and
du Preez, Computer Speech and Language 2006). Four numbers, none of which can turn a better match into a
worse ratio.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from leakscan.errors import ModelError

Floats = npt.NDArray[np.float64]

_FORMAT = 1
_BLIND_PX, _SHARP_PX = 64.0, 224.0
"""A film of fewer pixels than the first shows no bone to match; above the second nothing is held back."""
_PRIOR_LOG_ODDS = -3.0
"""Where the fit must be right: at the few per cent of candidates that decisions are about."""
_MOST_SLOPE = 50.0  # per standard deviation: a bound for data that separate fully


@dataclass(frozen=True)
class JointEvidence:
    """The fitted ratio: ``bias + score * z + visible * (anatomy * m + seen)``, in nats.

    ``m`` is the square root of the anatomy score and ``visible`` rises from 0 to 1 with the pixels that
    both films have (:func:`visibility`).

    Attributes:
        bias: the ratio at z = 0 of films too small to compare.
        score: per unit of z, at least 0.
        anatomy: per unit of m, at least 0.
        seen: what looking and finding nothing takes away, at most 0.
        subjects: genuine subjects (sum of weights) it was fitted on.
        impostors: impostor pairs it was fitted on.
    """

    bias: float
    score: float
    anatomy: float
    seen: float
    subjects: float
    impostors: int

    def llr(self, z: npt.ArrayLike, anatomy: npt.ArrayLike) -> Floats:
        """Log-likelihood ratios ``(n,)`` in nats, rising in z and in the anatomy score.

        Args:
            z: ``(n,)`` normalised fingerprint scores.
            anatomy: ``(n, 2)``: ``AnatomyMatch.score`` and ``.shared_px``. NaN in the first means that
                nobody looked; it counts as films too small to compare.
        """
        return np.asarray(_design(z, anatomy) @ np.array([self.bias, self.score, self.anatomy, self.seen]))

    def to_json(self) -> str:
        """As text that :meth:`from_json` reads back exactly."""
        return json.dumps({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> JointEvidence:
        """Reads what :meth:`to_json` wrote.

        Raises:
            ModelError: the text is damaged or of another format.
        """
        try:
            raw = json.loads(text)
            if raw.pop("format") != _FORMAT:
                raise ModelError(
                    f"The joint evidence is of another format than {_FORMAT}.", "Update leakscan."
                )
            impostors = int(raw.pop("impostors"))
            found = cls(impostors=impostors, **{name: float(value) for name, value in raw.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise ModelError(f"The joint evidence is damaged: {e}.", "Fit it again.") from e
        numbers = (found.bias, found.score, found.anatomy, found.seen)
        if not all(map(math.isfinite, numbers)) or found.score < 0 or found.anatomy < 0 or found.seen > 0:
            raise ModelError("The joint evidence is damaged: a coefficient is out of range.", "Fit it again.")
        return found


def visibility(shared_px: npt.ArrayLike) -> Floats:
    """How far the bones of two films can be compared, 0..1, by the pixels that both have."""
    px = np.maximum(np.asarray(shared_px, np.float64), 1.0)
    share = np.log(px / _BLIND_PX) / math.log(_SHARP_PX / _BLIND_PX)
    return np.asarray(np.clip(share, 0.0, 1.0))


def fit_joint(
    z: npt.ArrayLike, anatomy: npt.ArrayLike, genuine: npt.ArrayLike, weight: npt.ArrayLike
) -> JointEvidence:
    """Fits the ratio on labelled candidates.

    The weights of the genuine and of the impostor pairs are each brought to one sum, then to the prior
    that the fit is for, which is taken off the bias. A ridge of one subject's worth on the slopes
    (per standard deviation) keeps them finite where the data separate.

    Args:
        z: ``(n,)`` normalised fingerprint scores, finite.
        anatomy: ``(n, 2)`` as for :meth:`JointEvidence.llr`.
        genuine: ``(n,)`` bool.
        weight: ``(n,)`` positive; genuine pairs of a subject sum to 1.

    Raises:
        ModelError: there are no genuine or no impostor pairs, or arrays do not fit together.
    """
    same = np.asarray(genuine, bool)
    weights = np.asarray(weight, np.float64)
    design = _design(z, anatomy)
    if not same.shape == weights.shape == (len(design),):
        raise ModelError("The labels, weights and scores of the candidates are of different lengths.")
    if not np.isfinite(design).all() or not (weights > 0).all():
        raise ModelError("Scores must be finite and weights positive.")
    if not same.any() or same.all():
        raise ModelError("Both genuine and impostor pairs are needed to fit the joint evidence.")
    subjects = float(weights[same].sum())
    prior = 1.0 / (1.0 + math.exp(-_PRIOR_LOG_ODDS))
    share = np.where(same, prior / subjects, (1.0 - prior) / weights[~same].sum()) * weights
    centre = design[:, 1].mean()
    scale = np.array([1.0, max(design[:, 1].std(), 1e-9), max(design[:, 2].std(), 1e-9), 1.0])
    scaled = (design - np.array([0.0, centre, 0.0, 0.0])) / scale
    sign = np.where(same, 1.0, -1.0)
    ridge = prior / max(subjects, 1.0) * np.array([0.0, 1.0, 1.0, 1.0])

    def loss(b: Floats) -> tuple[float, Floats]:
        margin = sign * (scaled @ b + _PRIOR_LOG_ODDS)
        value = float(share @ np.logaddexp(0.0, -margin) + 0.5 * ridge @ (b * b))
        gradient = -scaled.T @ (share * sign * np.exp(-np.logaddexp(0.0, margin))) + ridge * b
        return value, gradient

    bounds = [(None, None), (0.0, _MOST_SLOPE), (0.0, _MOST_SLOPE), (-_MOST_SLOPE, 0.0)]
    options = {"ftol": 1e-13, "gtol": 1e-9, "maxiter": 1000}
    best = minimize(loss, np.zeros(4), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    bias, score, matched, seen = (float(c) for c in best.x / scale)
    return JointEvidence(
        bias - score * float(centre), score, matched, seen, subjects, int(np.count_nonzero(~same))
    )


def _design(z: npt.ArrayLike, anatomy: npt.ArrayLike) -> Floats:
    """``(n, 4)``: one, z, what matched, and whether it could be seen."""
    scores = np.atleast_1d(np.asarray(z, np.float64))
    found = np.asarray(anatomy, np.float64).reshape(-1, 2)
    if len(found) != len(scores):
        raise ModelError(f"There are {len(scores)} fingerprint scores and {len(found)} anatomy scores.")
    looked = np.isfinite(found[:, 0])
    visible = np.where(looked, visibility(np.where(looked, found[:, 1], 0.0)), 0.0)
    matched = np.sqrt(np.maximum(np.where(looked, found[:, 0], 0.0), 0.0))
    return np.stack([np.ones(len(scores)), scores, visible * matched, visible], axis=1)
