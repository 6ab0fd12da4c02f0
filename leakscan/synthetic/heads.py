"""Draws head volumes of subjects who never lived, with numpy alone: nothing comes from real images.

A head is a set of ellipsoids in millimetres, RAS+, bent by smooth noise that differs from subject to
subject; the cortex is folded along the level lines of another noise. Intensities are those of a T1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leakscan.synthetic.brushes import Map, sigmoid, smooth_noise, smoothed

_AIR, _BONE, _FLUID, _MUSCLE, _GREY, _WHITE, _FAT = 0.0, 0.08, 0.14, 0.40, 0.50, 0.80, 0.95


def draw_brain(
    rng: np.random.Generator, shape: tuple[int, int, int] = (64, 76, 64), spacing_mm: float = 3.0
) -> npt.NDArray[np.uint16]:
    """One head ``(x, y, z)`` in RAS+ order, skull and face included, values 0..4095.

    Args:
        rng: Decides everything about the subject and the scan.
        shape: The number of voxels from left to right, from back to front, and from foot to head.
        spacing_mm: The edge of a voxel.

    Example:
        >>> draw_brain(np.random.default_rng(0), shape=(32, 38, 32), spacing_mm=6.0).shape
        (32, 38, 32)
    """
    x, y, z = _bent(rng, shape, spacing_mm)
    grow = rng.uniform(0.93, 1.07, 3)
    rx, ry, rz = 66 * grow[0], 84 * grow[1], 62 * grow[2]
    cz = 18.0

    skin = _inside((x, y, z - cz), (rx + 14, ry + 15, rz + 15))
    jaw = _inside((x, y - 0.45 * ry, z + 50), (0.72 * rx, 0.5 * ry, 55))
    neck = np.minimum(52 - np.hypot(x, y + 20), -20 - z)
    nose = _inside((x, y - 1.22 * ry, z + 22), (13, rng.uniform(14, 22), 20))
    skull = _inside((x, y, z - cz), (rx + 8, ry + 8, rz + 8))
    brain = _brain_surface(x, y, z - cz, (rx, ry, rz))
    stem = np.minimum(12 - np.hypot(x, y + 18 + 0.25 * z), 5 - z)
    cerebellum = _inside((x, y + 0.52 * ry, z + 30), (0.72 * rx, 0.38 * ry, 24))

    head = np.full(shape, _AIR)
    for depth, value in ((np.maximum(neck, jaw), _MUSCLE), (nose, _MUSCLE), (skin, _FAT)):
        head = _over(head, value, depth)
    head = _over(head, _MUSCLE, skin - 4)
    head = _over(head, _BONE, skull)
    # Below the brain lies the face, not fluid: only a margin around the brain is wet.
    wet = np.maximum(np.maximum(brain, cerebellum), stem) + 3.5
    head = _over(head, _MUSCLE, np.minimum(skull - 6, -z - 8))
    head = _over(head, _FLUID, np.minimum(skull - 6, wet))
    for side in (-1, 1):
        head = _over(head, _FLUID, _inside((x - side * 32, y - ry - 2, z + 14), (12, 12, 12)))

    folds = 3.2 * smooth_noise(rng, shape, 4.6 / spacing_mm)
    head = _painted_cortex(head, brain, folds, x)
    leaves = 2.2 * np.sin((z + 0.4 * y) / rng.uniform(1.6, 2.2)) + folds
    head = _over(head, _GREY, cerebellum)
    head = _over(head, _WHITE - 0.1, np.minimum(cerebellum - 7, leaves))
    head = _over(head, _WHITE - 0.05, stem)
    head = _painted_depths(rng, head, x, y, z)
    return _scanned(rng, head, spacing_mm)


def _bent(rng: np.random.Generator, shape: tuple[int, int, int], spacing_mm: float) -> tuple[Map, Map, Map]:
    """Coordinates in millimetres from the middle, turned a little and bent by up to some 8 mm."""
    axes = [(np.arange(n) - (n - 1) / 2) * spacing_mm for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    nod, roll, yaw = rng.normal(0, 0.06, 3)
    y, z = y * np.cos(nod) - z * np.sin(nod), y * np.sin(nod) + z * np.cos(nod)
    x, z = x * np.cos(roll) - z * np.sin(roll), x * np.sin(roll) + z * np.cos(roll)
    x, y = x * np.cos(yaw) - y * np.sin(yaw), x * np.sin(yaw) + y * np.cos(yaw)
    bend = [2.6 * smooth_noise(rng, shape, 24 / spacing_mm) for _ in range(3)]
    shift = rng.normal(0, 2.5, 3)
    return x + bend[0] + shift[0], y + bend[1] + shift[1], z + bend[2] + shift[2]


def _inside(at: tuple[Map, Map, Map], radii: tuple[float, float, float]) -> Map:
    """About how many millimetres a point lies inside an ellipsoid; negative outside."""
    reach = np.sqrt(sum((a / r) ** 2 for a, r in zip(at, radii, strict=True)))
    return np.asarray((1 - reach) * min(radii))


def _over(picture: Map, value: float, depth: Map) -> Map:
    """Paints ``value`` where ``depth`` (mm) is positive, with an edge of about 2 mm."""
    share = sigmoid(depth / 0.6)
    return np.asarray(picture * (1 - share) + value * share)


def _brain_surface(x: Map, y: Map, z: Map, radii: tuple[float, float, float]) -> Map:
    """Depth inside the cerebrum (mm): an ellipsoid with a flat floor and temporal lobes."""
    dome = _inside((x, y, z), radii)
    floor = z + 22 - 6 * np.tanh((y - 20) / 15)
    temporal = [_inside((x - s * 42, y - 14, z + 30), (22, 38, 20)) for s in (-1, 1)]
    return np.asarray(np.maximum(np.minimum(dome, floor), np.maximum(*temporal)))


def _painted_cortex(head: Map, brain: Map, folds: Map, x: Map) -> Map:
    """Grey ribbon about 5 mm thick along the surface and down both walls of the sulci."""
    deep = 22.0
    walls = np.abs(folds) * 1.9 - 0.9 + 9 * (brain / deep).clip(0) ** 2
    fissure = np.abs(x) - 1.2 + 40 * (brain / 34).clip(0) ** 6
    to_fluid = np.minimum(np.minimum(brain, walls), fissure)
    head = _over(head, _GREY, to_fluid)
    return _over(head, _WHITE, to_fluid - 5)


def _painted_depths(rng: np.random.Generator, head: Map, x: Map, y: Map, z: Map) -> Map:
    """Thalamus, caudate, putamen and the ventricles between them."""
    wide, long, high = rng.uniform(4.5, 10), rng.uniform(24, 36), rng.uniform(7, 12)
    for side in (-1, 1):
        u = x * side
        head = _over(head, _GREY + 0.08, _inside((u - 11, y + 12, z - 14), (8, 14, 9)))
        head = _over(head, _GREY, _inside((u - 26, y - 8, z - 12), (6, 17, 10)))
        head = _over(head, _GREY, _inside((u - 14, y - 16, z - 20), (5, 12, 9)))
        bow = 0.006 * (y + 4) ** 2
        uneven = wide * rng.uniform(0.8, 1.2)
        head = _over(head, _FLUID, _inside((u - 9, y + 4, z - 29 + bow), (uneven, long, high)))
        horn = _inside((u - 24, y + 38, z - 10), (5, rng.uniform(10, 18), 9))
        head = _over(head, _FLUID, horn)
    return _over(head, _FLUID, _inside((x, y + 8, z - 10), (2.5, 14, 10)))


def _scanned(rng: np.random.Generator, head: Map, spacing_mm: float) -> npt.NDArray[np.uint16]:
    """Blur of the scanner, coil shading, Rician noise (Gudbjartsson and Patz 1995), 12 bits."""
    shading = np.exp(0.08 * smooth_noise(rng, head.shape, 60 / spacing_mm))
    texture = 1 + 0.02 * smooth_noise(rng, head.shape, 1.0)
    signal = smoothed(head, 0.45) * shading * texture
    noise = rng.normal(0, rng.uniform(0.008, 0.016), (2, *head.shape))
    measured = np.hypot(signal + noise[0], noise[1])
    return np.asarray(np.rint((measured / 1.2).clip(0, 1) * 4095), dtype=np.uint16)
