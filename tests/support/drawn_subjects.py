"""Pictures and volumes of invented subjects for the tests of verification."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]


def film(subject: int, side: int = 360) -> Floats:
    """A drawn chest: two dark lungs, ribs, a heart, vessels, fine grain; 0..255, not square."""
    rng = np.random.default_rng(subject)
    height, width = side, int(side * 0.9)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height, x / width
    picture = 150 + 40 * y + rng.normal(0, 6) * x
    lungs = np.zeros_like(picture)
    for middle in (0.3 + rng.normal(0, 0.02), 0.7 + rng.normal(0, 0.02)):
        wide, tall = 0.15 + rng.normal(0, 0.01), 0.32 + rng.normal(0, 0.02)
        lungs += np.exp(-((((x - middle) / wide) ** 2 + ((y - 0.45) / tall) ** 2) ** 3))
    picture -= 90 * np.clip(lungs, 0, 1)
    for rib in range(9):
        height_here = 0.12 + 0.085 * rib + rng.normal(0, 0.008)
        bend, thick = 0.5 + rng.normal(0, 0.08), 0.012 + rng.uniform(0, 0.006)
        line = height_here + bend * (x - 0.5) ** 2 + rng.normal(0, 0.03) * (x - 0.5)
        picture += rng.uniform(18, 34) * np.exp(-(((y - line) / thick) ** 2))
    for _ in range(60):
        at_x, at_y, wide = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.008, 0.03)
        long = wide * rng.uniform(1, 3)
        picture += rng.normal(0, 18) * np.exp(-(((x - at_x) / wide) ** 2 + ((y - at_y) / long) ** 2))
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.5)
    picture = picture + grain * 8 + rng.normal(0, 1.5, picture.shape)
    return np.asarray(np.clip(picture, 0, 255), np.float32)


def second_film(subject: int, seed: int = 1) -> Floats:
    """The same drawn chest on another day: another breath and stance, new grain."""
    first = film(subject)
    rng = np.random.default_rng(seed)
    height, width = first.shape
    shift = [cv2.GaussianBlur(rng.normal(0, 1, first.shape).astype(np.float32), (0, 0), 35) for _ in range(2)]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = (axis + 5 * field / field.std() for axis, field in zip((x, y), shift, strict=True))
    moved = cv2.remap(
        first, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    grain = cv2.GaussianBlur(rng.normal(0, 1, first.shape).astype(np.float32), (0, 0), 1.5)
    return np.asarray(np.clip(moved + grain * 8, 0, 255), np.float32)


def head(subject: int, shape: tuple[int, int, int] = (80, 100, 90)) -> Floats:
    """A drawn head at 2 mm: skull, brain with folds of its own, dark ventricles; 0..1000, air 0.

    It is narrower to the right than to the left and flatter at the back, so that no flip is a symmetry.
    """
    rng = np.random.default_rng(subject)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    x, y, z = grid * 1.15
    radius = np.sqrt(
        (x / (0.85 + 0.06 * z)) ** 2 + (y / (0.95 - 0.05 * x)) ** 2 + ((z + 0.05 * y) / 0.9) ** 2
    )
    folds = ndimage.gaussian_filter(rng.normal(0, 1, shape), 3.0)
    folds /= folds.std()
    broad = ndimage.gaussian_filter(rng.normal(0, 1, shape), 7.0)
    brain = 600 + 120 * np.tanh(folds) + 80 * broad / broad.std()
    volume = np.where(radius < 0.8, brain, np.where(radius < 0.9, 200, np.where(radius < 1, 900, 0)))
    ventricles = ((x / 0.15) ** 2 + ((y - 0.1) / 0.35) ** 2 + (z / 0.2) ** 2) < 1
    volume = np.where(ventricles, 150, volume)
    return np.asarray(ndimage.gaussian_filter(volume.astype(np.float32), 0.6), np.float32)
