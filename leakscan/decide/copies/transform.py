"""Names what was done to one picture to get the other, from the map between the two."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

TURNS = {
    "": [[1, 0], [0, 1]],
    "rot90": [[0, 1], [-1, 0]],
    "rot180": [[-1, 0], [0, -1]],
    "rot270": [[0, -1], [1, 0]],
    "hflip": [[-1, 0], [0, 1]],
    "vflip": [[1, 0], [0, -1]],
    "transpose": [[0, 1], [1, 0]],
    "antitranspose": [[0, -1], [-1, 0]],
}
"""The eight flips and quarter turns on (x to the right, y down)."""

_ROTATED_DEGREES = 1.0
_STRETCHED = 1.04  # ratio of the two axes' scales
_SCALED = 1.04
_CROPPED = 0.94  # of an image covered by the other; a turn by 3 degrees leaves 0.95
_GREY = 0.99  # correlation of grey levels under a JPEG copy, a resize or a linear change is above


def inverse(matrix: Matrix) -> Matrix:
    """The map back.

    Example:
        >>> inverse(np.array([[2.0, 0.0, 6.0], [0.0, 2.0, 4.0], [0.0, 0.0, 1.0]]))[:2, 2].tolist()
        [-3.0, -2.0]
    """
    return np.asarray(np.linalg.inv(matrix), np.float64)


def nearest_turn(linear: Matrix) -> tuple[str, float, float]:
    """The flip or quarter turn that a linear map is closest to.

    Args:
        linear: ``(2, 2)``: the linear part of a map of pixels.

    Returns:
        Its name, the rotation that is left in degrees, and the ratio of the axes' scales, at least 1.

    Example:
        >>> turn, degrees, stretch = nearest_turn(np.array([[0.0, 2.0], [-2.2, 0.0]]))
        >>> turn, round(abs(degrees), 3), round(stretch, 3)
        ('rot90', 0.0, 1.1)
    """
    u, scales, vt = np.linalg.svd(linear)
    rotation = u @ vt
    name = max(TURNS, key=lambda turn: float(np.sum(rotation * np.array(TURNS[turn]))))
    left = rotation @ np.array(TURNS[name]).T
    return (
        name,
        float(np.degrees(np.arctan2(left[1, 0], left[0, 0]))),
        float(scales[0] / max(scales[1], 1e-9)),
    )


def coverage(shape_a: tuple[int, int], shape_b: tuple[int, int], a_to_b: Matrix) -> tuple[float, float]:
    """The share of a that b covers, and the share of b that a covers, each 0..1.

    Args:
        shape_a: The height and width of a.
        shape_b: The height and width of b.
        a_to_b: ``(3, 3)``: the affine map of pixel centres.

    Example:
        >>> coverage((100, 80), (50, 80), np.eye(3))
        (0.5, 1.0)
    """
    corners = _corners(shape_a) @ a_to_b[:2, :2].T + a_to_b[:2, 2]
    area, _ = cv2.intersectConvexConvex(corners.astype(np.float32), _corners(shape_b).astype(np.float32))
    whole_a = shape_a[0] * shape_a[1] * abs(float(np.linalg.det(a_to_b[:2, :2])))
    whole_b = float(shape_b[0] * shape_b[1])
    return min(area / max(whole_a, 1e-9), 1.0), min(area / whole_b, 1.0)


def words(
    a_to_b: Matrix, covered: tuple[float, float], native_scale: float, inverted: bool, grey_correlation: float
) -> str:
    """What was done to a to get b, as words joined with ``+``.

    Args:
        a_to_b: ``(3, 3)``: the map between the working pictures.
        covered: The shares that the two cover of each other, see :func:`coverage`.
        native_scale: How many pixels b has, in its own file, for one pixel of a in its own.
        inverted: Whether grey levels are inverted.
        grey_correlation: The correlation of grey levels on the overlap once that is undone, -1..1.

    Example:
        >>> mirrored = np.diag([-1.0, 1.0, 1.0])
        >>> words(mirrored, (1.0, 0.8), native_scale=0.5, inverted=False, grey_correlation=1.0)
        'hflip+crop+scale'
    """
    turn, degrees, stretch = nearest_turn(a_to_b[:2, :2])
    said = [
        (turn, bool(turn)),
        ("invert", inverted),
        ("crop", min(covered) < _CROPPED),
        ("scale", max(native_scale, 1.0 / native_scale) > _SCALED),
        ("stretch", stretch > _STRETCHED),
        ("rotate", abs(degrees) > _ROTATED_DEGREES),
        ("grey", grey_correlation < _GREY),
    ]
    return "+".join(word for word, holds in said if holds)


def _corners(shape: tuple[int, int]) -> Matrix:
    height, width = shape
    return np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
