"""One log-likelihood ratio from the fingerprint's score and the detail match.

It says how much likelier the two are for one person than for two, among pairs that the fingerprint
already found alike: prior-weighted logistic regression with the prior taken out again (Brümmer and
du Preez, Computer Speech and Language 2006), once of both and once of the score alone, for pairs without a
detail match. Five numbers, none of which can turn a better match into a worse ratio.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from leakscan.errors import ModelError

Floats = npt.NDArray[np.float64]

_FORMAT = 2
_KEYS = {"detail": "look"}
"""What attributes are called in files, where that differs: the files are older than the words."""
_PRIOR_LOG_ODDS = -3.0
"""Where the fit must be right: at the few per cent of candidates that decisions are about."""
_MOST_SLOPE = 50.0  # per standard deviation: a bound for data that separate fully


@dataclass(frozen=True, kw_only=True)
class JointEvidence:
    """The fitted ratio in nats: ``bias + score * z + detail * match``, or from the score alone.

    Attributes:
        bias: The ratio at z = 0 and a detail match of 0.
        score: What a unit of z adds, at least 0.
        detail: What a unit of the detail match adds, at least 0.
        alone_bias: The ratio at z = 0 of a pair without a detail match.
        alone_score: What a unit of its z adds, at least 0.
        subjects: Genuine subjects (sum of weights) it was fitted on.
        impostors: Impostor pairs it was fitted on.
    """

    bias: float
    score: float
    detail: float
    alone_bias: float
    alone_score: float
    subjects: float
    impostors: int

    def llr(self, z: npt.ArrayLike, found: npt.ArrayLike) -> Floats:
        """Log-likelihood ratios ``(n,)`` in nats, rising in z and in the detail match.

        Args:
            z: ``(n,)`` normalised fingerprint scores.
            found: ``(n,)`` detail matches, NaN where there is none.
        """
        scores, matches = _columns(z, found)
        known = np.isfinite(matches)
        both = self.bias + self.score * scores + self.detail * np.where(known, matches, 0.0)
        return np.where(known, both, self.alone_bias + self.alone_score * scores)

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads back exactly."""
        return json.dumps({"format": _FORMAT, **{_KEYS.get(k, k): v for k, v in asdict(self).items()}})

    @classmethod
    def from_json(cls, text: str) -> JointEvidence:
        """Reads what :meth:`to_json` wrote.

        Raises:
            ModelError: The text is damaged or of another format.
        """
        try:
            raw = json.loads(text)
            if raw.pop("format") != _FORMAT:
                raise ModelError(
                    f"The joint evidence is of another format than {_FORMAT}.",
                    "Make the calibration again with calibrate(source, output).",
                    code="calibration_outdated",
                )
            impostors = int(raw.pop("impostors"))
            names = {key: name for name, key in _KEYS.items()}
            found = cls(impostors=impostors, **{names.get(k, k): float(value) for k, value in raw.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise ModelError(f"The joint evidence is damaged: {e}.", "Fit it again.") from e
        slopes = (found.score, found.detail, found.alone_score)
        if not all(map(math.isfinite, (found.bias, found.alone_bias, *slopes))) or min(slopes) < 0:
            raise ModelError("The joint evidence is damaged: a coefficient is out of range.", "Fit it again.")
        return found


def fit_joint(
    z: npt.ArrayLike, found: npt.ArrayLike, genuine: npt.ArrayLike, weight: npt.ArrayLike
) -> JointEvidence:
    """Fits the ratio on labelled pairs with a detail match.

    The weights of the genuine and of the impostor pairs are each brought to one sum, then to the prior
    that the fit is for, which is taken off the bias. A ridge of one subject's worth on the slopes
    (per standard deviation) keeps them finite where the data separate.

    Args:
        z: ``(n,)`` normalised fingerprint scores, finite.
        found: ``(n,)`` detail matches, finite.
        genuine: ``(n,)`` bool, which pairs show one person.
        weight: ``(n,)`` positive weights; those of a subject's genuine pairs sum to 1.

    Raises:
        ModelError: There are no genuine or no impostor pairs, or arrays do not fit together.

    Example:
        >>> z, found, same = [5, 6, 4, 1, 2, 3], [2, 3, 1, -2, -1, 0], [True] * 3 + [False] * 3
        >>> joint = fit_joint(z, found, same, np.ones(6))
        >>> (joint.llr([4, 4], [2, -2]) > 0).tolist()
        [True, False]
    """
    same = np.asarray(genuine, bool)
    weights = np.asarray(weight, np.float64)
    scores, findings = _columns(z, found)
    if not same.shape == weights.shape == scores.shape:
        raise ModelError("The labels, weights and scores of the candidates are of different lengths.")
    if not np.isfinite(scores).all() or not np.isfinite(findings).all() or not (weights > 0).all():
        raise ModelError("Scores and findings must be finite and weights positive.")
    if not same.any() or same.all():
        raise ModelError("Both genuine and impostor pairs are needed to fit the joint evidence.")
    bias, (score, detail) = _logistic(np.stack([scores, findings], axis=1), same, weights)
    alone_bias, (alone_score,) = _logistic(scores[:, None], same, weights)
    subjects = float(weights[same].sum())
    return JointEvidence(
        bias=bias,
        score=score,
        detail=detail,
        alone_bias=alone_bias,
        alone_score=alone_score,
        subjects=subjects,
        impostors=int(np.count_nonzero(~same)),
    )


def _logistic(features: Floats, same: npt.NDArray[np.bool_], weights: Floats) -> tuple[float, list[float]]:
    """Bias and slopes, none of them negative, of features ``(n, k)``."""
    subjects = float(weights[same].sum())
    prior = 1.0 / (1.0 + math.exp(-_PRIOR_LOG_ODDS))
    share = np.where(same, prior / subjects, (1.0 - prior) / weights[~same].sum()) * weights
    centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    scaled = np.column_stack([np.ones(len(features)), (features - centre) / scale])
    sign = np.where(same, 1.0, -1.0)
    from scipy.optimize import minimize  # a run that fits nothing does not wait for it

    ridge = prior / max(subjects, 1.0) * np.array([0.0] + [1.0] * features.shape[1])

    def loss(b: Floats) -> tuple[float, Floats]:
        margin = sign * (scaled @ b + _PRIOR_LOG_ODDS)
        value = float(share @ np.logaddexp(0.0, -margin) + 0.5 * ridge @ (b * b))
        gradient = -scaled.T @ (share * sign * np.exp(-np.logaddexp(0.0, margin))) + ridge * b
        return value, gradient

    bounds = [(None, None)] + [(0.0, _MOST_SLOPE)] * features.shape[1]
    options = {"ftol": 1e-13, "gtol": 1e-9, "maxiter": 1000}
    best = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    slopes = best.x[1:] / scale
    return float(best.x[0] - slopes @ centre), slopes.tolist()


def _columns(z: npt.ArrayLike, found: npt.ArrayLike) -> tuple[Floats, Floats]:
    scores, findings = (np.atleast_1d(np.asarray(x, np.float64)) for x in (z, found))
    if scores.shape != findings.shape:
        raise ModelError(f"There are {len(scores)} fingerprint scores and {len(findings)} findings.")
    return scores, findings
