"""Do two pictures show one acquisition? Keypoints propose an alignment, the aligned pictures decide."""

from __future__ import annotations

import math

import numpy as np

from leakscan.decide.verify import NOT_ALIGNED, Verification
from leakscan.decide.verify.alignment import Agreement, agreement
from leakscan.decide.verify.direct import propose_directly
from leakscan.decide.verify.keypoints import PictureFeatures, Proposal, describe, propose
from leakscan.decide.verify.transform import coverage, inverse, nearest_turn, words

__all__ = ["PictureFeatures", "describe", "verify_pictures"]

_LEAST_OVERLAP = 0.5  # of the smaller picture
_MOST_STRETCH = 1.8  # a film squeezed into a square is at 1.3
_MOST_SCALE = 5.0
_FEW_KEYPOINTS = 80  # fewer in either picture: try without them as well
_TRIED = 2  # proposals looked at


def verify_pictures(a: PictureFeatures, b: PictureFeatures) -> Verification:
    """Aligns two pictures and tells whether they show the same acquisition.

    The verdict does not depend on the order of the two; the words of the transform are those that
    lead from ``a`` to ``b``.

    Args:
        a: from :func:`describe`.
        b: likewise.
    """
    if a.blank or b.blank:
        return NOT_ALIGNED
    if b.key < a.key:
        return _verify(b, a).swapped()
    return _verify(a, b)


def _verify(a: PictureFeatures, b: PictureFeatures) -> Verification:
    best = NOT_ALIGNED
    for proposal in propose(a, b)[:_TRIED]:
        found = _judge(a, b, proposal)
        if found.same_image:
            return found
        best = best if best.correlation >= found.correlation else found
    if min(len(a.points), len(b.points)) < _FEW_KEYPOINTS:
        for proposal in propose_directly(a, b):
            found = _judge(a, b, proposal)
            if found.same_image:
                return found
            best = best if best.correlation >= found.correlation else found
    return best


def _judge(a: PictureFeatures, b: PictureFeatures, proposal: Proposal) -> Verification:
    if not _plausible(a, b, proposal):
        return NOT_ALIGNED
    found = agreement(a, b, proposal)
    if found is None:
        return NOT_ALIGNED
    a_to_b = inverse(found.matrix)
    covered = coverage(_shape(a), _shape(b), a_to_b)
    scale = math.sqrt(abs(float(np.linalg.det(a_to_b)))) * _native(b) / _native(a)
    return Verification(
        same_image=_same(found, proposal.inliers) and max(covered) >= _LEAST_OVERLAP,
        correlation=found.correlation,
        inliers=proposal.inliers,
        transform=words(a_to_b, covered, scale, proposal.inverted, found.grey_correlation),
        overlap=max(covered),
    )


def _same(found: Agreement, inliers: int) -> bool:
    """The decision; where its numbers come from stands at the top of this module."""
    median, upper = found.motion
    if inliers == 0:
        return found.correlation > 0.9 and upper < 1.5 and found.texture > 0.05
    return found.correlation > 0.35 and median < 1.5


def _plausible(a: PictureFeatures, b: PictureFeatures, proposal: Proposal) -> bool:
    linear = proposal.matrix[:, :2]
    size = math.sqrt(abs(float(np.linalg.det(linear))))
    if not 1 / _MOST_SCALE < size < _MOST_SCALE or nearest_turn(linear)[2] > _MOST_STRETCH:
        return False
    b_to_a = np.vstack([proposal.matrix, [0.0, 0.0, 1.0]])
    return max(coverage(_shape(b), _shape(a), b_to_a)) >= _LEAST_OVERLAP


def _shape(features: PictureFeatures) -> tuple[int, int]:
    return features.picture.shape[0], features.picture.shape[1]


def _native(features: PictureFeatures) -> float:
    """Pixels of the picture's own file per pixel of its working picture."""
    return float(features.native_px / max(_shape(features)))
