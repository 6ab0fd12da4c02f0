"""Lays one picture over another for a person to see, whether they are copies or two acquisitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.decide.copies.picture_alignment import measure_agreement
from leakscan.decide.copies.picture_features import (
    Picture,
    PictureFeatures,
    Proposal,
    agreeing_points,
    propose,
)
from leakscan.decide.copies.transform import TURNS, Matrix, inverse, nearest_turn
from leakscan.report.altered_words import altered_words

_SURE_INLIERS = 12
_SURE_CORRELATION = 0.6
_COARSE_SIDE = 96  # px
_COARSE_STEPS = 60
_COARSE_GAIN = 0.02  # of correlation, below which moving is not worth it
_MOST_STRETCH, _MOST_SCALE, _MOST_DEGREES = 1.35, 1.6, 15.0
_MOST_POINTS = 150

Points = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Laid:
    """How a picture b comes to lie on a picture a. Matrices act on pixels of the files, corners at 0.

    Attributes:
        aligned: ``(2, 3)``: the best map found from b to a.
        upright: ``(2, 3)``: b turned and flipped as a lies, and fitted into a's frame.
        plain: ``(2, 3)``: b as it is stored, fitted into a's frame.
        inverted: Whether black and white of b have to change places.
        turn: The flip or quarter turn that was undone, as in the column ``transform``; empty for none.
        how: What found the map: ``keypoints``, ``shape`` (a coarse fit of what is alike) or ``size``.
        correlation: The correlation of local contrast under the map; ``None`` where nothing was measured.
        agreeing: How many keypoints agree under the map.
        points: Some of them for the eye: ``(n, 4)``, x and y in a, x and y in b.
    """

    aligned: Matrix
    upright: Matrix
    plain: Matrix
    inverted: bool
    turn: str
    how: str
    correlation: float | None
    agreeing: int
    points: Points = field(repr=False)

    @property
    def words(self) -> str:
        """What a reader must know of the alignment, in a sentence."""
        undone = altered_words(self.turn) + (altered_words("invert") if self.inverted else [])
        said = f"The right one was {' and '.join(undone)}; that is undone here. " if undone else ""
        if self.how == "keypoints":
            return f"{said}Aligned by {self.agreeing} keypoints that agree."
        if self.how == "shape":
            return f"{said}Aligned roughly, by outline: the two agree in no detail that a copy would."
        return f"{said}Not aligned: the two are only brought to one size."

    def data(self) -> dict[str, Any]:
        """Everything but the points, for the page."""
        return {
            "aligned": _six(self.aligned),
            "upright": _six(self.upright),
            "plain": _six(self.plain),
            "inverted": self.inverted,
            "how": self.how,
            "correlation": None if self.correlation is None else round(self.correlation, 3),
            "agreeing": self.agreeing,
            "words": self.words,
        }


def lay(
    a: PictureFeatures, b: PictureFeatures, size_a: tuple[int, int], size_b: tuple[int, int], transform: str
) -> Laid:
    """Finds how b lies on a.

    Args:
        a: The features of the frame.
        b: The features of the picture to lay on it.
        size_a: The height and width of a in its file.
        size_b: The height and width of b in its file.
        transform: What the run says led from a to b, as in the column ``transform``; may be empty.

    Example:
        >>> from leakscan.decide.copies.picture_features import describe_picture
        >>> small = np.random.default_rng(0).random((20, 20), np.float32)
        >>> film = cv2.resize(small, (300, 300), interpolation=cv2.INTER_CUBIC)
        >>> a, b = describe_picture(film), describe_picture(1 - film[:, ::-1])
        >>> laid = lay(a, b, (300, 300), (300, 300), "")
        >>> laid.turn, laid.inverted, laid.how, laid.aligned.round().astype(int).tolist()
        ('hflip', True, 'keypoints', [[-1, 0, 300], [0, 1, 0]])
    """
    found = None if a.blank or b.blank else _by_keypoints(a, b)
    if found is not None:
        return _laid(found, a, b, size_a, size_b)
    words = transform.split("+")
    turn = next((word for word in words if word in TURNS), "")
    start = _fit(a.picture.shape, b.picture.shape, _undo(turn))
    proposal = Proposal(start, 0, "invert" in words)
    moved = None if a.blank or b.blank else _by_shape(a.picture, b.picture, proposal)
    how, correlation = ("size", None) if moved is None else ("shape", moved[1])
    final = proposal if moved is None else Proposal(moved[0], 0, proposal.inverted)
    return _laid(_Found(final, how, correlation, turn), a, b, size_a, size_b)


@dataclass(frozen=True)
class _Found:
    proposal: Proposal
    how: str
    correlation: float | None
    turn: str


def _laid(
    found: _Found, a: PictureFeatures, b: PictureFeatures, size_a: tuple[int, int], size_b: tuple[int, int]
) -> Laid:
    to_a, to_b = _to_work(size_a, a.picture.shape), _to_work(size_b, b.picture.shape)
    points = np.zeros((0, 4), np.float32)
    if found.how == "keypoints":
        in_a, in_b = agreeing_points(a, b, found.proposal)
        points = np.hstack([(in_a + 0.5) / np.diag(to_a)[:2], (in_b + 0.5) / np.diag(to_b)[:2]])
    corners = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])  # from pixel centres to corners
    whole = np.vstack([found.proposal.matrix, [0.0, 0.0, 1.0]])
    return Laid(
        aligned=(inverse(to_a) @ corners @ whole @ inverse(corners) @ to_b)[:2],
        upright=_corner_fit(size_a, size_b, found.turn),
        plain=_corner_fit(size_a, size_b, ""),
        inverted=found.proposal.inverted,
        turn=found.turn,
        how=found.how,
        correlation=found.correlation,
        agreeing=len(points),
        points=np.asarray(points[:: max(1, -(-len(points) // _MOST_POINTS))], np.float32),
    )


def _by_keypoints(a: PictureFeatures, b: PictureFeatures) -> _Found | None:
    best: _Found | None = None
    for proposal in propose(a, b)[:2]:
        measured = measure_agreement(a, b, proposal)
        if measured is None:
            continue
        refined = Proposal(measured.matrix[:2], proposal.inliers, proposal.inverted)
        sure = proposal.inliers >= _SURE_INLIERS or measured.correlation >= _SURE_CORRELATION
        _, _, stretch = nearest_turn(refined.matrix[:, :2])
        better = best is None or measured.correlation > (best.correlation or -1.0)
        if sure and stretch < 1.8 and better:
            back, _, _ = nearest_turn(inverse(measured.matrix)[:2, :2])
            best = _Found(refined, "keypoints", measured.correlation, back)
    return best


def _by_shape(a: Picture, b: Picture, start: Proposal) -> tuple[Matrix, float] | None:
    """Moves b until the outlines agree: two acquisitions of one person lie about alike."""
    scale_a, scale_b = _COARSE_SIDE / max(a.shape), _COARSE_SIDE / max(b.shape)
    small_a, small_b = _coarse(a), _coarse(255 - b if start.inverted else b)
    to_small_a, to_small_b = np.diag([scale_a, scale_a, 1.0]), np.diag([scale_b, scale_b, 1.0])
    whole = np.vstack([start.matrix, [0.0, 0.0, 1.0]])
    first = (to_small_b @ inverse(whole) @ inverse(to_small_a))[:2].astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _COARSE_STEPS, 1e-4)
    try:
        before = _correlation(small_a, small_b, first)
        after, moved = cv2.findTransformECC(  # type: ignore[call-overload]
            small_a, small_b, first.copy(), cv2.MOTION_AFFINE, criteria, None, 5
        )
    except cv2.error:  # it gives up where the two do not correlate
        return None
    if not np.isfinite(moved).all() or after < before + _COARSE_GAIN:
        return None
    matrix = inverse(to_small_a) @ inverse(np.vstack([moved, [0.0, 0.0, 1.0]])) @ to_small_b
    change = matrix[:2, :2] @ inverse(whole)[:2, :2]
    turn, degrees, stretch = nearest_turn(change)
    size = float(np.sqrt(abs(np.linalg.det(change))))
    plausible = not turn and abs(degrees) < _MOST_DEGREES and stretch < _MOST_STRETCH
    if not plausible or not 1 / _MOST_SCALE < size < _MOST_SCALE:
        return None
    return matrix[:2], float(after)


def _correlation(
    a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], a_to_b: npt.NDArray[np.float32]
) -> float:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(b, a_to_b, a.shape[::-1], flags=flags)
    return float(np.corrcoef(a.ravel(), warped.ravel())[0, 1])


def _coarse(picture: Picture) -> npt.NDArray[np.float32]:
    scale = _COARSE_SIDE / max(picture.shape)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5), np.float32)


def _undo(turn: str) -> Matrix:
    """The turn that leads back from b to a, about the middle."""
    return inverse(np.array(TURNS[turn], np.float64))


def _fit(shape_a: tuple[int, ...], shape_b: tuple[int, ...], linear: Matrix) -> Matrix:
    """``(2, 3)``: b turned and as large as fits into a, the middles on each other; pixel centres."""
    turned = np.abs(linear) @ np.array([shape_b[1], shape_b[0]], np.float64)
    scale = min(shape_a[1] / turned[0], shape_a[0] / turned[1])
    middle_a = np.array([shape_a[1] - 1, shape_a[0] - 1]) / 2
    middle_b = np.array([shape_b[1] - 1, shape_b[0] - 1]) / 2
    matrix = scale * linear
    return np.column_stack([matrix, middle_a - matrix @ middle_b])


def _corner_fit(size_a: tuple[int, int], size_b: tuple[int, int], turn: str) -> Matrix:
    """The same for pixel corners at 0, in pixels of the files."""
    matrix = _fit(size_a, size_b, _undo(turn))
    matrix[:, 2] += 0.5 - matrix[:, :2] @ np.array([0.5, 0.5])
    return matrix


def _to_work(size: tuple[int, int], work: tuple[int, ...]) -> Matrix:
    return np.diag([work[1] / size[1], work[0] / size[0], 1.0])


def _six(matrix: Matrix) -> list[float]:
    """The six numbers in the order in which a canvas takes them."""
    return [round(float(v), 6) for v in matrix.T.ravel()]
