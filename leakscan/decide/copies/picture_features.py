"""What a copy check keeps of a picture, and how two pictures are matched by keypoints.

SIFT (Lowe, IJCV 2004) with Hellinger-normalised descriptors (Arandjelovic and Zisserman, CVPR 2012).
SIFT knows neither mirrors nor negatives, but both only permute its 4 x 4 x 8 histogram, so the four
variants are matched from one set of descriptors. Turns and scales are SIFT's own.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.keypoints import sift
from leakscan.fingerprint.working_picture import level_shares, working_picture

SIDE = 320  # px, longest side: the weakest listed copy has 95 inliers here, 59 at 256, 66 at 384
KEYPOINTS = 600
GLANCE_SIDE = 160
GLANCE_KEYPOINTS = 250
_GLANCE_INLIERS = 9
"""At a glance all 120 true pairs of two public sets have 28 inliers or more, and 99 % of pairs of
different films fewer than 8; it takes a fifth of the time."""
_GLANCE_FEW = 60  # keypoints: with fewer a glance says nothing
_RATIO = 0.8  # Lowe's ratio test
_REPROJECTION_PX = 4.0
MIN_INLIERS = 8  # 99 % of 40,000 pairs of different subjects have fewer
_SURE = 25  # inliers: the other variants need not be tried

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
_NO_KEYPOINTS = np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8)


@dataclass(frozen=True, kw_only=True)
class PictureFeatures:
    """A picture made ready for copy checks. Plain arrays, so that it crosses processes.

    Attributes:
        picture: ``(h, w)`` uint8 with the longest side ``SIDE``; the robust range is stretched to 0..255.
        points: ``(n, 2)`` float32: x and y of the keypoints in ``picture``.
        descriptors: ``(n, 128)`` uint8: the SIFT descriptors of the keypoints.
        native_px: The longest side of the picture before it was brought to ``SIDE``.
        blank: Whether there is nothing to see: no grey level stands out from another.
        shares: The share of pixels up to each grey level but the last, where it had a few levels only.
        key: A digest of ``picture``. It gives a pair its one order.
    """

    picture: Picture
    points: Floats
    descriptors: Picture
    native_px: int
    blank: bool
    key: bytes
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """An alignment that keypoints propose.

    Attributes:
        matrix: ``(2, 3)`` float64: the affine map from pixels of b to pixels of a.
        inliers: The number of matches that agree with it.
        inverted: Whether the match is between a and the negative of b.
    """

    matrix: npt.NDArray[np.float64]
    inliers: int
    inverted: bool


def describe_picture(
    values: npt.NDArray[np.float32], side: int = SIDE, keypoints: int = KEYPOINTS
) -> PictureFeatures:
    """Brings a picture to working size and finds its keypoints.

    Args:
        values: ``(height, width)`` in any range; values that are not finite count as 0.
        side: The longest side of the working picture in pixels.
        keypoints: The most keypoints to find; 0 looks for none, which takes a twentieth of the time.

    Example:
        >>> describe_picture(np.zeros((100, 80), np.float32)).blank
        True
    """
    picture, blank = working_picture(values, side)
    points, descriptors = sift(picture, keypoints) if keypoints else _NO_KEYPOINTS
    key = hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
    return PictureFeatures(
        picture=picture,
        points=points,
        descriptors=descriptors,
        native_px=max(values.shape),
        blank=blank,
        key=key,
        shares=level_shares(values),
    )


def posterised(features: PictureFeatures, shares: tuple[float, ...]) -> PictureFeatures:
    """A picture brought down to a few grey levels, as another was.

    Args:
        features: The picture.
        shares: The share of its pixels up to each level but the last.

    Example:
        >>> ramp = describe_picture(np.arange(4096, dtype=np.float32).reshape(64, 64))
        >>> np.unique(posterised(ramp, (0.5,)).picture).tolist()[::len(ramp.picture)]
        [0]
    """
    levels = np.searchsorted(np.quantile(features.picture, shares), features.picture, side="left")
    steps = np.rint(levels * (255.0 / len(shares))).astype(np.float32)
    return replace(describe_picture(steps), native_px=features.native_px)


def glance(values: npt.NDArray[np.float32]) -> PictureFeatures:
    """The features that :func:`worth_a_check` needs: those of :func:`describe_picture` at half the size.

    Example:
        >>> glance(np.zeros((400, 200), np.float32)).picture.shape
        (160, 80)
    """
    return describe_picture(values, GLANCE_SIDE, GLANCE_KEYPOINTS)


def worth_a_check(a: PictureFeatures, b: PictureFeatures) -> bool:
    """Whether two pictures may be one acquisition, by their features at a glance.

    It says yes as well where a picture has too few keypoints to tell, or has a few grey levels only.

    Example:
        >>> films = np.random.default_rng(0).random((2, 24, 24), np.float32)
        >>> film, other = (cv2.resize(small, (160, 160), interpolation=cv2.INTER_CUBIC) for small in films)
        >>> one, mirrored, another = map(glance, (film, film[:, ::-1], other))
        >>> worth_a_check(one, mirrored), worth_a_check(one, another)
        (True, False)
    """
    if min(len(a.points), len(b.points)) < _GLANCE_FEW or bool(a.shares) != bool(b.shares):
        return True
    for similarity in _similarities(a.descriptors, b.descriptors):
        i, j = _matches(similarity)
        if len(i) < _GLANCE_INLIERS:
            continue
        _, inliers = _fit(a.points[i], b.points[j], _REPROJECTION_PX * GLANCE_SIDE / SIDE)
        if inliers >= _GLANCE_INLIERS:
            return True
    return False


def propose(a: PictureFeatures, b: PictureFeatures) -> list[Proposal]:
    """Proposes affine maps from b to a that matched keypoints agree on, the best supported first.

    Every variant of b (mirrored, inverted, both) that has enough matches makes at most one.

    Example:
        >>> small = np.random.default_rng(0).random((24, 24), np.float32)
        >>> film = glance(cv2.resize(small, (160, 160), interpolation=cv2.INTER_CUBIC))
        >>> mirrored = glance(film.picture[:, ::-1])
        >>> propose(film, mirrored)[0].matrix.diagonal().round().tolist()
        [-1.0, 1.0]
    """
    if min(len(a.points), len(b.points)) < MIN_INLIERS:
        return []
    matched = [_matches(similarity) for similarity in _similarities(a.descriptors, b.descriptors)]
    proposals: list[Proposal] = []
    for variant in sorted(range(4), key=lambda v: -len(matched[v][0])):
        i, j = matched[variant]
        if len(i) < MIN_INLIERS or (proposals and proposals[0].inliers >= _SURE):
            break
        matrix, inliers = _fit(a.points[i], b.points[j])
        if inliers >= MIN_INLIERS:
            proposals.append(Proposal(matrix, inliers, inverted=variant >= 2))
    return sorted(proposals, key=lambda proposal: -proposal.inliers)


def agreeing_points(a: PictureFeatures, b: PictureFeatures, proposal: Proposal) -> tuple[Floats, Floats]:
    """The keypoints that were matched and agree with a map: what a person can be shown as a reason.

    Args:
        a: The features of the one picture.
        b: The features of the other.
        proposal: A map from b to a, as :func:`propose` found it or refined.

    Returns:
        Points in a and, row by row, their partners in b: ``(n, 2)`` each, in pixels of the working pictures.

    Example:
        >>> small = np.random.default_rng(0).random((24, 24), np.float32)
        >>> film = glance(cv2.resize(small, (160, 160), interpolation=cv2.INTER_CUBIC))
        >>> mirrored = glance(film.picture[:, ::-1])
        >>> in_film, in_mirrored = agreeing_points(film, mirrored, propose(film, mirrored)[0])
        >>> bool(np.allclose(in_film[:, 0], 159 - in_mirrored[:, 0], atol=6.0))
        True
    """
    if min(len(a.points), len(b.points)) < 2:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    mirrored = float(np.linalg.det(proposal.matrix[:, :2])) < 0
    variant = 2 * proposal.inverted + mirrored
    i, j = _matches(_similarities(a.descriptors, b.descriptors)[variant])
    there = b.points[j] @ proposal.matrix[:, :2].T + proposal.matrix[:, 2]
    near = np.linalg.norm(there - a.points[i], axis=1) < _REPROJECTION_PX
    return a.points[i[near]], b.points[j[near]]


def _orbits() -> npt.NDArray[np.intp]:
    """Where the four variants find each of 32 bins: ``(4, 32)``, as is, mirrored, inverted, both.

    Bins are ``[row, column, orientation]`` in the keypoint's own frame, columns along its direction.
    A mirror turns rows and orientations round; a negative turns the keypoint's direction by 180
    degrees, which turns rows and columns round and leaves the orientations, measured against it.
    No bin stays in place, so the 128 bins fall into 32 orbits of four.
    """
    bins = np.arange(128).reshape(4, 4, 8)
    mirrored = bins[::-1, :, (8 - np.arange(8)) % 8]
    variants = (bins, mirrored, bins[::-1, ::-1], mirrored[::-1, ::-1])
    return np.stack([variant[:2, :2].ravel() for variant in variants])


_ORBITS = _orbits()
_CHARACTERS = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], np.float32) / 2


def _similarities(a: Picture, b: Picture) -> Floats:
    """Cosines of all descriptors of a against those of b as they are, mirrored, inverted, both.

    ``(4, n, m)``, good until the thread's next call.
    """
    left, right = spectrum(_hellinger(a)), spectrum(_hellinger(b))
    n, m = left.shape[1], right.shape[1]
    return four_products(left, right, _workspace()[: 4 * n * m].reshape(4, n, m))


def four_products(left: Floats, right: Floats, out: Floats) -> Floats:
    """Products of all vectors of one picture with those of another as they are, mirrored, inverted, both.

    The variants are a group of four permutations, so in the basis of its characters one product of
    a with b, cut in four parts, gives all four by sums and differences (a Walsh-Hadamard transform):
    a quarter of the work of four products.

    Args:
        left: The vectors of the one picture, as :func:`spectrum` gives them.
        right: Those of the other.
        out: ``(4, n, m)``, where the products go.

    Example:
        >>> rows = spectrum(np.ones((1, 128), np.float32))
        >>> four_products(rows, rows, np.empty((4, 1, 1), np.float32)).ravel().tolist()
        [128.0, 128.0, 128.0, 128.0]
    """
    np.matmul(left, right.transpose(0, 2, 1), out=out)
    for one, other in ((0, 2), (1, 3), (0, 1), (2, 3)):  # (x, y) becomes (x + y, x - y), in place
        out[one] += out[other]
        out[other] *= -2.0
        out[other] += out[one]
    return out


_local = threading.local()


def _workspace() -> Floats:
    """One block of memory per thread: asking the system for 6 MB per pair costs more than the sums."""
    if not hasattr(_local, "block"):
        _local.block = np.empty(4 * KEYPOINTS**2, np.float32)
    block: Floats = _local.block
    return block


def _hellinger(descriptors: Picture) -> Floats:
    """Unit-length descriptors whose products are Hellinger's, ``(n, 128)``."""
    root = np.sqrt(descriptors.astype(np.float32))
    root /= np.maximum(np.linalg.norm(root, axis=1, keepdims=True), 1e-6)
    return root


def spectrum(vectors: Floats) -> Floats:
    """Vectors ``(n, 128)`` laid out as SIFT's descriptors are, in the basis of characters, ``(4, n, 32)``.

    Example:
        >>> spectrum(np.zeros((5, 128), np.float32)).shape
        (4, 5, 32)
    """
    return np.asarray(np.tensordot(_CHARACTERS, vectors[:, _ORBITS], axes=(1, 1)), np.float32)


def _matches(similarity: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Mutual nearest neighbours that pass the ratio test in b."""
    rows = np.arange(len(similarity))
    nearest = similarity.argmax(axis=1)
    back = similarity.argmax(axis=0)
    first = similarity[rows, nearest]
    similarity[rows, nearest] = -1.0
    second = similarity.max(axis=1)
    # Unit vectors: squared distance is 2 - 2 cos.
    keep = (1.0 - first < _RATIO**2 * (1.0 - second)) & (back[nearest] == rows)
    return rows[keep], nearest[keep]


def _fit(
    a: Floats, b: Floats, reprojection_px: float = _REPROJECTION_PX
) -> tuple[npt.NDArray[np.float64], int]:
    """An affine map from b to a, and how many matches agree with it: 0 where there is none."""
    matrix, mask = cv2.estimateAffine2D(
        b, a, method=cv2.RANSAC, ransacReprojThreshold=reprojection_px, maxIters=1000, confidence=0.99
    )
    if matrix is None or not np.isfinite(matrix).all():
        return np.eye(2, 3), 0
    inside = mask.ravel().astype(bool)
    # Keypoints with two directions count once.
    inliers = min(len(np.unique(np.round(side[inside]), axis=0)) for side in (a, b))
    return np.asarray(matrix, np.float64), inliers
