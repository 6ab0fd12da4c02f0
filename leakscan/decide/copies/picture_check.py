"""Do two pictures show one acquisition? Keypoints propose an alignment, the aligned pictures decide.

A copy agrees with its original everywhere: whatever was done to its grey levels, once aligned nothing is
left to move. A second film of one patient, taken minutes or years later, has ribs, heart and diaphragm
elsewhere, however well it correlates. So two numbers decide (``Agreement``): correlation of local
contrast, and the median motion left, in thousandths of the field. Measured on films of at most 384 px:

====================================================  ======  ============  ============
pairs                                                 number  correlation   motion left
====================================================  ======  ============  ============
ozturk x ieee8023, the listed copies                     120  0.95 to 1.00  0.00 to 0.56
the same two sets, copies that the list lacks              6  0.97 to 0.99  0.11 to 0.26
60 films in 35 alterations                              2100  0.79 to 1.00  0.00 to 1.66
60 films, brighter until they clip                        60  0.74 to 1.00  0.03 to 1.31
60 films, four texts and four arrows each                 60  0.42 to 0.83  0.12 to 1.19
60 films, noise of 12 grey levels                         60  0.49 to 0.91  0.23 to 2.01
nih val and train, other films of the subject          5,946  up to 0.84    from 2.06
...of these, one of the two only 64 px wide                   up to 0.84    from 1.69
kermany train, other films of the child                1,489  up to 0.84    from 2.67
ieee8023, other films of the subject                     394  up to 0.77    from 2.38
ozturk x ieee8023, all other pairs                    68,694  up to 0.61    from 3.90
====================================================  ======  ============  ============

Correlation and motion of the negatives are those of the few pairs that have enough matched keypoints to be
aligned at all. Above 0.84 of correlation, and above 64 px below 2.0 of motion, there were copies only.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.copies.direct import propose_directly, propose_whole
from leakscan.decide.copies.keypoint_vote import voted
from leakscan.decide.copies.picture_alignment import Agreement, coarse_correlation, measure_agreement
from leakscan.decide.copies.picture_features import (
    MIN_INLIERS,
    SIDE,
    PictureFeatures,
    Proposal,
    describe_picture,
    posterised,
    propose,
)
from leakscan.decide.copies.transform import coverage, inverse, nearest_turn, words
from leakscan.fingerprint.keypoints import SIDE as KEYPOINT_SIDE
from leakscan.fingerprint.keypoints import Keypoints

__all__ = ["STRETCHED", "PictureFeatures", "check_pictures", "describe_picture", "stretch_between"]

_CORRELATION = 0.88
_MOTION = 2.2  # thousandths of the field's longest side
# Letters, clipped grey levels and noise lower the correlation, but move nothing; at 64 px neither
# does a second film.
_ALTERED_CORRELATION = 0.4
_ALTERED_MOTION = 1.5
_FINE_PX = 100
_DIRECT_CORRELATION = 0.9
_DIRECT_MOTION = 2.0
_LEAST_OVERLAP = 0.5  # of the smaller picture
# Two patches of one slide share less. Then more must agree, and nothing may move.
_PARTIAL_OVERLAP = 0.28
_PARTIAL_INLIERS = 30
_PARTIAL_CORRELATION = 0.95
_PARTIAL_MOTION = 1.5
_MOST_STRETCH = 2.6  # a film squashed to half its height is at 2, one squeezed into a square at 1.3
_MOST_WHOLE_STRETCH = 8.0  # of a whole picture, whose other end is known
STRETCHED = 1.25
"""The ratio of the shapes of two pictures from which the one may be the other stretched."""
_MOST_SCALE = 5.0
_FEW_KEYPOINTS = 80  # fewer in either picture: try without them as well
_TRIED = 2  # proposals
_FEW_AGREE, _ALIKE_AT_SIGHT = 9, 0.6
"""Kept keypoints that agree, and the correlation where they lay two pictures on each other, up to which the
two are strangers. Of 198 pairs of strangers whose keypoints voted for a copy 183 had 9 or fewer, and 99 of
100 correlated up to 0.55. Of 1,187 copies in 22 alterations 12 had 9 or fewer, and these from 0.81; with 13
of them one, masked to its lungs, had 0.35.
"""
_UNLIKE, _ELSEWHERE = 0.5, 6.0
"""The correlation, and the median motion left, of two pictures that kept keypoints lay on each other, below
and above which the two are strangers. Of 17 pairs of strangers that came so far, 13 correlated up to 0.43 and
moved by 9 and more; of 1,080 copies in 27 alterations none that was not known at once moved by more than 4.
"""


def check_pictures(a: PictureFeatures, b: PictureFeatures) -> CopyCheck:
    """Aligns two pictures and tells whether they show the same acquisition.

    What is found does not depend on the order of the two; the words of the transform are those that
    lead from ``a`` to ``b``.

    Args:
        a: The features of the first picture, see :func:`describe_picture`.
        b: The features of the second picture.

    Example:
        >>> blank = describe_picture(np.zeros((64, 64), np.float32))
        >>> check_pictures(blank, blank).same_image
        False
    """
    if a.blank or b.blank:
        return NOT_ALIGNED
    if b.key < a.key:
        return _checked(b, a).swapped()
    return _checked(a, b)


def check_as_voted(a: PictureFeatures, b: PictureFeatures, kept: tuple[bytes, bytes]) -> CopyCheck | None:
    """Does what :func:`check_pictures` does, aligned by the keypoints that were kept of both pictures.

    It finds most copies without a description of either picture, and tells most strangers at sight: hardly
    any of their keypoints agree, and laid on each other by these they do not look alike.

    Args:
        a: The first picture; its keypoints are not used.
        b: The second picture.
        kept: The keypoints of both, as a store keeps them.

    Returns:
        What the check came to, ``None`` where it does not tell: then the two may be copies.

    Example:
        >>> blank = describe_picture(np.zeros((64, 64), np.float32), keypoints=0)
        >>> check_as_voted(blank, blank, (b"", b"")) is None
        True
    """
    if b.key < a.key:
        found = check_as_voted(b, a, (kept[1], kept[0]))
        return None if found is None else found.swapped()
    vote = voted(Keypoints.from_bytes(kept[0]), Keypoints.from_bytes(kept[1]))
    if vote.matrix is None or a.blank or b.blank:
        return None
    # From pixels of the pictures that keypoints are found in to those of working pictures.
    larger = SIDE / KEYPOINT_SIDE
    middle = (larger - 1) / 2
    linear, shift = vote.matrix[:, :2], vote.matrix[:, 2] * larger
    matrix = np.column_stack([linear, shift + middle - linear @ np.array([middle, middle])])
    proposal = Proposal(matrix, vote.agreeing, vote.inverted)
    if vote.agreeing <= _FEW_AGREE and not (a.shares or b.shares) and _plausible(a, b, proposal):
        alike = coarse_correlation(a, b, proposal)
        if alike is not None and alike < _ALIKE_AT_SIGHT:
            return NOT_ALIGNED
    agreement = _agreement(a, b, proposal)
    if agreement is None:
        return None
    if agreement.correlation < _UNLIKE and agreement.motion[0] > _ELSEWHERE:
        return NOT_ALIGNED
    said = _said(a, b, proposal, agreement)
    return said if said.same_image else None


def _checked(a: PictureFeatures, b: PictureFeatures) -> CopyCheck:
    """The two as they are; and where only one has a few grey levels, the other brought down to as few."""
    best = _best(a, b)
    if best.same_image or bool(a.shares) == bool(b.shares):
        return best
    shares = a.shares or b.shares
    turned = tuple(1.0 - share for share in reversed(shares))
    for some in dict.fromkeys((shares, turned)):
        found = _best(posterised(a, some), b) if b.shares else _best(a, posterised(b, some))
        if found.same_image:
            words = found.transform.split("+") if found.transform else []
            return replace(found, transform="+".join(dict.fromkeys([*words, "grey"])))
    return best


def _best(a: PictureFeatures, b: PictureFeatures) -> CopyCheck:
    """The first proposal under which the two are one acquisition, else the one that correlates best."""
    best = NOT_ALIGNED
    for proposal in propose(a, b)[:_TRIED]:
        found = _judge(a, b, proposal)
        if found.same_image:
            return found
        best = best if best.correlation >= found.correlation else found
    further = propose_directly(a, b) if min(len(a.points), len(b.points)) < _FEW_KEYPOINTS else []
    if stretch_between(_shape(a), _shape(b)) > STRETCHED:
        further = [*propose_whole(a, b), *further]
    for proposal in further:
        found = _judge(a, b, proposal)
        if found.same_image:
            return found
        best = best if best.correlation >= found.correlation else found
    return best


def stretch_between(one: tuple[int, int], other: tuple[int, int]) -> float:
    """By how much a whole picture was stretched at least to become another, turned if need be; at least 1.

    Args:
        one: Height and width of the one.
        other: Those of the other.

    Example:
        >>> stretch_between((320, 320), (160, 320)), stretch_between((300, 200), (200, 300))
        (2.0, 1.0)
    """
    first, second = one[0] / max(one[1], 1), other[0] / max(other[1], 1)
    straight, turned = first / second, first * second
    return min(max(straight, 1 / straight), max(turned, 1 / turned))


def _judge(a: PictureFeatures, b: PictureFeatures, proposal: Proposal) -> CopyCheck:
    found = _agreement(a, b, proposal)
    return NOT_ALIGNED if found is None else _said(a, b, proposal, found)


def _agreement(a: PictureFeatures, b: PictureFeatures, proposal: Proposal) -> Agreement | None:
    """How the two agree under a proposal; ``None`` where it makes no copy, or too little is left."""
    return measure_agreement(a, b, proposal) if _plausible(a, b, proposal) else None


def _said(a: PictureFeatures, b: PictureFeatures, proposal: Proposal, found: Agreement) -> CopyCheck:
    """What an agreement says of the two."""
    a_to_b = inverse(found.matrix)
    covered = coverage(_shape(a), _shape(b), a_to_b)
    scale = math.sqrt(abs(float(np.linalg.det(a_to_b)))) * _native(b) / _native(a)
    return CopyCheck(
        same_image=_same(found, proposal.inliers)
        and (max(covered) >= _LEAST_OVERLAP or _surely_same(found, proposal.inliers)),
        correlation=found.correlation,
        inliers=proposal.inliers,
        transform=words(a_to_b, covered, scale, proposal.inverted, found.grey_correlation),
        overlap=max(covered),
    )


def _same(found: Agreement, inliers: int) -> bool:
    """Whether an agreement is that of two copies; see the figures at the top of this module."""
    median, upper = found.motion
    if inliers < MIN_INLIERS:
        return found.correlation >= _DIRECT_CORRELATION and upper <= _DIRECT_MOTION
    if found.correlation >= _CORRELATION:
        return median <= _MOTION
    if found.shared_px < _FINE_PX:
        return False
    return found.correlation >= _ALTERED_CORRELATION and median <= _ALTERED_MOTION


def _surely_same(found: Agreement, inliers: int) -> bool:
    """Whether so much agrees that less than half of the smaller picture will do."""
    median, _ = found.motion
    return (
        inliers >= _PARTIAL_INLIERS
        and found.correlation >= _PARTIAL_CORRELATION
        and median <= _PARTIAL_MOTION
    )


def _plausible(a: PictureFeatures, b: PictureFeatures, proposal: Proposal) -> bool:
    linear = proposal.matrix[:, :2]
    size = math.sqrt(abs(float(np.linalg.det(linear))))
    _, _, stretch = nearest_turn(linear)
    most = _MOST_STRETCH if proposal.inliers else _MOST_WHOLE_STRETCH
    if not 1 / _MOST_SCALE < size < _MOST_SCALE or stretch > most:
        return False
    b_to_a = np.vstack([proposal.matrix, [0.0, 0.0, 1.0]])
    return max(coverage(_shape(b), _shape(a), b_to_a)) >= _PARTIAL_OVERLAP


def _shape(features: PictureFeatures) -> tuple[int, int]:
    return features.picture.shape[0], features.picture.shape[1]


def _native(features: PictureFeatures) -> float:
    """Pixels of the picture's own file per pixel of its working picture."""
    return float(features.native_px / max(_shape(features)))
