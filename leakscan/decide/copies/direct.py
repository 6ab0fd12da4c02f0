"""Proposes alignments of pictures with hardly any keypoints: drawn shapes, smooth or tiny pictures.

All eight flips and turns, as they are and inverted, are slid over the other picture at thumbnail size
by Fourier cross-correlation.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.decide.copies.picture_features import Floats, Picture, PictureFeatures, Proposal
from leakscan.decide.copies.transform import TURNS

_THUMB = 64  # px, longest side
_KEPT = 2
_ALIKE = 0.8  # correlation of two whole pictures as small squares, from which one may be the other stretched


def propose_directly(a: PictureFeatures, b: PictureFeatures) -> list[Proposal]:
    """Proposes the best shifts of b, flipped and turned, over a.

    Both pictures are taken to have one scale: this finds turned, moved and mildly cropped copies. The
    proposals have no inliers.

    Example:
        >>> from leakscan.decide.copies.picture_features import glance
        >>> film = np.zeros((96, 96), np.float32)
        >>> film[20:50, 10:30] = 1.0
        >>> propose_directly(glance(film), glance(film[:, ::-1]))[0].matrix[:, :2].round(3).tolist()
        [[-1.0, 0.0], [0.0, 1.0]]
    """
    thumb_a, scale_a = _thumbnail(a.picture)
    thumb_b, scale_b = _thumbnail(b.picture)
    spectrum = np.fft.rfft2(thumb_a, (2 * _THUMB, 2 * _THUMB))
    scored: list[tuple[float, Proposal]] = []
    for turn in TURNS.values():
        linear = np.array(turn, np.float64)
        turned = _turned(thumb_b, linear)
        other = np.fft.rfft2(turned, (2 * _THUMB, 2 * _THUMB))
        score = np.fft.irfft2(spectrum * np.conj(other), (2 * _THUMB, 2 * _THUMB))
        for inverted, peaks in ((False, score), (True, -score)):
            y, x = np.unravel_index(int(peaks.argmax()), peaks.shape)
            shift = np.array([x if x < _THUMB else x - 2 * _THUMB, y if y < _THUMB else y - 2 * _THUMB])
            matrix = _map(thumb_b.shape, turned.shape, linear, shift, scale_a, scale_b)
            scored.append((float(peaks[y, x]), Proposal(matrix, 0, inverted)))
    scored.sort(key=lambda entry: -entry[0])
    return [proposal for _, proposal in scored[:_KEPT]]


def propose_whole(a: PictureFeatures, b: PictureFeatures) -> list[Proposal]:
    """Proposes that the whole of b lies on the whole of a, flipped or turned, however it was stretched.

    Descriptors of keypoints do not survive a stretch to twice the height; what the two look like as squares
    does.

    Returns:
        At most one proposal, without inliers; none where the two do not look alike.

    Example:
        >>> from leakscan.decide.copies.picture_features import glance
        >>> film = np.zeros((96, 96), np.float32)
        >>> film[20:50, 10:30] = 1.0
        >>> propose_whole(glance(film), glance(film[::3, ::-1]))[0].matrix[:, :2].round(3).tolist()
        [[-1.0, 0.0], [0.0, 3.019]]
    """
    square_a, square_b = _square(a.picture), _square(b.picture)
    scores = {
        name: float((square_a * _turned(square_b, np.array(turn))).sum()) for name, turn in TURNS.items()
    }
    name = max(scores, key=lambda one: abs(scores[one]))
    if abs(scores[name]) < _ALIKE:
        return []
    size_a, size_b = (np.array([p.picture.shape[1], p.picture.shape[0]], np.float64) for p in (a, b))
    linear = np.diag(size_a) @ np.array(TURNS[name], np.float64) @ np.diag(1 / size_b)
    shift = (size_a - 1) / 2 - linear @ (size_b - 1) / 2
    return [Proposal(np.column_stack([linear, shift]), 0, scores[name] < 0)]


def _square(picture: Picture) -> Floats:
    """The picture as a small square, zero mean and unit energy."""
    small = cv2.resize(picture, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), np.float32)


def _thumbnail(picture: Picture) -> tuple[Floats, float]:
    """Zero-mean, unit-energy thumbnail, and its pixels per working pixel."""
    scale = _THUMB / max(picture.shape)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    thumb = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    thumb -= thumb.mean()
    return np.asarray(thumb / max(float(np.linalg.norm(thumb)), 1e-6), np.float32), scale


def _turned(thumb: Floats, linear: npt.NDArray[np.float64]) -> Floats:
    """The array whose pixel at ``linear @ p`` (about the middle) is the thumbnail's at p."""
    if linear[0, 0] == 0:
        thumb = thumb.T
        linear = linear @ np.array([[0, 1], [1, 0]])
    return thumb[:: int(linear[1, 1]), :: int(linear[0, 0])]


def _map(
    shape: tuple[int, ...],
    turned: tuple[int, ...],
    linear: npt.NDArray[np.float64],
    shift: npt.NDArray[np.int_],
    scale_a: float,
    scale_b: float,
) -> npt.NDArray[np.float64]:
    """The map from working pixels of b, through the thumbnails, to working pixels of a."""
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
    middle_turned = np.array([turned[1] - 1, turned[0] - 1]) / 2
    # Pixel centres: thumb = scale * (work + 0.5) - 0.5.
    offset = linear @ (0.5 * scale_b - 0.5 - middle) + middle_turned + shift
    return np.column_stack([linear * scale_b / scale_a, (offset + 0.5) / scale_a - 0.5])
