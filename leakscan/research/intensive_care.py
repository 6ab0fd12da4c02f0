"""Films made to look like those of intensive care: white lungs, lines, tilted fields, little contrast."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_MOST_WHITE = 0.85  # of what is missing to the brightest tissue
_MOST_TILT = 14.0  # degrees


def intensive_care(
    values: npt.NDArray[np.float32], rng: np.random.Generator, severity: float = 0.5
) -> Floats:
    """A frontal film as a portable machine might have taken it of somebody very ill.

    Lungs turn white in one or both halves, by patches or as a whole. Tubes, lines and wires cross the film.
    The patient lies askew, and the collimation is a tilted rectangle on black or white. Contrast is low.

    Args:
        values: ``(height, width)`` the film, bright for dense tissue, in any range.
        rng: The source of the draws.
        severity: How far all of this goes, 0 to 1.

    Returns:
        A film of the same shape, 0 to 1.

    Example:
        >>> film = np.random.default_rng(0).random((120, 100), np.float32)
        >>> altered = intensive_care(film, np.random.default_rng(1))
        >>> altered.shape, bool((altered != film).any())
        ((120, 100), True)
    """
    low, high = np.percentile(values, (0.5, 99.5))
    film = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
    film = _whitened(film, rng, severity)
    film = _crossed(film, rng, severity)
    film = _flattened(film, rng, severity)
    return _collimated(film, rng, severity)


def _whitened(film: Floats, rng: np.random.Generator, severity: float) -> Floats:
    height, width = film.shape
    small = rng.random((6, 6)).astype(np.float32)
    patches = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    veil = np.zeros_like(film)
    sides = rng.random(2) < 0.8
    for side in (0.3, 0.7):
        if not sides[int(side > 0.5)] and sides.any():
            continue
        across = ((columns / width - side) / 0.2) ** 2 + ((rows / height - rng.uniform(0.4, 0.6)) / 0.34) ** 2
        whole = rng.random() < 0.35
        veil += np.exp(-(across**2)) * (1.0 if whole else np.clip(2 * patches - 0.4, 0, 1))
    strength = rng.uniform(0.4, 1.0) * _MOST_WHITE * min(1.0, 0.3 + severity)
    tissue = float(np.percentile(film, rng.uniform(75, 92)))
    return np.asarray(film + strength * np.clip(veil, 0, 1) * np.clip(tissue - film, 0, None), np.float32)


def _crossed(film: Floats, rng: np.random.Generator, severity: float) -> Floats:
    """Tubes and wires: smooth curves, some with a disc at the end, as electrodes have."""
    height, width = film.shape
    drawn = np.zeros_like(film)
    side = max(height, width)
    for _ in range(int(rng.integers(2, 4 + round(8 * severity)))):
        points = rng.uniform(-0.1, 1.1, (4, 2)) * (width, height)
        t = np.linspace(0, 1, 60)[:, None]
        curve = (
            (1 - t) ** 3 * points[0]
            + 3 * t * (1 - t) ** 2 * points[1]
            + 3 * t**2 * (1 - t) * points[2]
            + t**3 * points[3]
        )
        line = np.zeros_like(film)
        thick = max(1, round(side * rng.uniform(0.003, 0.006 + 0.009 * severity)))
        cv2.polylines(line, [np.rint(curve).astype(np.int32)], False, 1.0, thick, cv2.LINE_AA)
        if rng.random() < 0.5:
            centre = (int(curve[0, 0]), int(curve[0, 1]))
            cv2.circle(line, centre, max(2, round(side * rng.uniform(0.01, 0.025))), 1.0, -1, cv2.LINE_AA)
        drawn = np.maximum(drawn, line * np.float32(rng.uniform(0.15, 0.3 + 0.4 * severity)))
    return np.asarray(np.clip(film + drawn * (1.05 - film), 0, 1), np.float32)


def _flattened(film: Floats, rng: np.random.Generator, severity: float) -> Floats:
    """Scattered rays and a short exposure: less contrast, a little blur, noise."""
    blurred = np.asarray(
        cv2.GaussianBlur(film, (0, 0), max(film.shape) * rng.uniform(0.001, 0.001 + 0.005 * severity))
    )
    curve = np.float32(2.0 ** rng.uniform(-0.8 * severity, 0.8 * severity))
    flat: Floats = blurred**curve * np.float32(rng.uniform(1 - 0.5 * severity, 1.0))
    noise = rng.normal(0, rng.uniform(0.003, 0.005 + 0.03 * severity), film.shape)
    return np.asarray(np.clip(flat + noise, 0, 1), np.float32)


def _collimated(film: Floats, rng: np.random.Generator, severity: float) -> Floats:
    height, width = film.shape
    ground = float(rng.choice([0.0, 0.0, 1.0]))
    tilt = severity * rng.uniform(-_MOST_TILT, _MOST_TILT)
    zoom = 1 + severity * rng.uniform(-0.15, 0.1)
    turn = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), tilt, zoom), np.float64)
    turn[:, 2] += severity * rng.uniform(-0.06, 0.06, 2) * (width, height)
    tilted = cv2.warpAffine(film, turn, (width, height), borderValue=ground)
    if rng.random() < 0.6:
        box = cv2.boxPoints(
            (
                (width * rng.uniform(0.45, 0.55), height * rng.uniform(0.45, 0.55)),
                (
                    width * rng.uniform(1 - 0.2 * severity, 1.05),
                    height * rng.uniform(1 - 0.2 * severity, 1.05),
                ),
                severity * rng.uniform(-8, 8),
            )
        )
        open_ = np.zeros_like(film)
        cv2.fillPoly(open_, [np.rint(box).astype(np.int32)], 1.0)
        tilted = np.where(open_ > 0, tilted, ground)
    return np.asarray(tilted, np.float32)
