"""Draws chest films of subjects who never lived, with numpy alone: nothing comes from real images.

Attenuation is added up as a beam would meet it (tissue, lungs, heart, spine, ribs, vessels) and then
exposed. Lengths are in half widths of the film: x from -1 to 1, y from 0 at the top to 1 at the
bottom; the image's left is the subject's right. One generator in one state draws one subject.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leakscan.synthetic.brushes import Map, box, coloured_noise, sigmoid, smoothed
from leakscan.synthetic.writers import FilmPixels


def draw_film(rng: np.random.Generator, *, bits: int = 8, height: int | None = None) -> FilmPixels:
    """One frontal chest film ``(height, width)``, air black and bone white.

    Args:
        rng: Decides everything about the subject and the exposure.
        bits: The depth; 8 gives uint8, and 9 to 16 give uint16 with values below ``2 ** bits``.
        height: The number of rows; 384 to 464 if not given.

    Example:
        >>> draw_film(np.random.default_rng(0), height=192).dtype
        dtype('uint8')
    """
    rows = height or 16 * int(rng.integers(24, 30))
    columns = 16 * round(rows * rng.uniform(0.86, 1.08) / 16)
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None, :] - rng.uniform(-0.04, 0.04)
    y = np.linspace(0, 1, rows, dtype=np.float32)[:, None] - rng.uniform(-0.03, 0.03)

    body = _body(rng, x, y)
    lungs, base = _lungs(rng, x, y)
    bone = _spine(rng, x, y) + _ribs(rng, x, y) + _clavicles(rng, x, y)
    vessels = _vessels(rng, x, y) * lungs
    fine, coarse = coloured_noise(rng, (rows, columns), 1.2), coloured_noise(rng, (rows, columns), 2.6)

    beam = 0.95 * body * (1 - rng.uniform(0.62, 0.74) * lungs)
    beam += body * (_heart(rng, x, y, base) + _soft_shadows(rng, x, y, lungs))
    beam += body * bone * (1 + 0.13 * fine)
    beam += 0.17 * vessels + lungs * (0.020 * fine + 0.035 * coarse) + 0.04 * body * coarse
    beam += _devices(rng, x, y)
    return _exposed(rng, beam, body, bits)


def _curve(at: Map, points: list[tuple[float, float]]) -> Map:
    """A smooth curve through ``(position, value)``, taken at every entry of ``at``."""
    places, values = np.array(points).T
    fine = np.linspace(places[0] - 0.2, places[-1] + 0.2, 400)
    kernel = np.hanning(25) / np.hanning(25).sum()
    padded = np.pad(np.interp(fine, places, values), 12, mode="edge")
    return np.interp(at, fine, np.convolve(padded, kernel, "valid")).astype(np.float32)


def _body(rng: np.random.Generator, x: Map, y: Map) -> Map:
    """Neck, shoulders and trunk, thinner towards the skin."""
    neck, shoulder, waist = rng.uniform(0.22, 0.34), rng.uniform(0.80, 1.1), rng.uniform(0.80, 0.98)
    slope = rng.uniform(0.10, 0.17)
    half = _curve(
        y,
        [(-0.2, neck), (0.02, neck), (slope, shoulder), (0.3, shoulder), (0.45, waist), (1.2, waist + 0.05)],
    )
    inside = sigmoid((half - np.abs(x)) / 0.012)
    depth = np.sqrt(np.clip(1 - (x / (half + 0.05)) ** 2, 0, 1))
    return np.asarray(inside * (0.45 + 0.55 * depth), dtype=np.float32)


def _lungs(rng: np.random.Generator, x: Map, y: Map) -> tuple[Map, Map]:
    """How much of the beam's way is lung, 0..1, and the height of the diaphragm at every x."""
    air = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    floor = np.zeros_like(x)
    bottom = rng.uniform(0.76, 0.86)
    for side in (-1.0, 1.0):
        u = x * side
        apex, width = rng.uniform(0.10, 0.16), rng.uniform(0.66, 0.78)
        outer = width * np.clip(1 - ((0.62 - y) / (0.62 - apex)).clip(0) ** 2.4, 0, 1) ** 0.5
        outer = outer + (y - 0.62).clip(0) * rng.uniform(0.05, 0.25)
        inner = _curve(y, [(0, 0.13), (0.3, 0.12), (0.5, rng.uniform(0.12, 0.18)), (1, 0.14)])
        dome, middle = rng.uniform(0.09, 0.16), rng.uniform(0.30, 0.42)
        base = bottom + side * 0.012 + dome * (((u - middle) / 0.42) ** 2 - 1).clip(None, 0.9)
        lung = box(u, inner, outer, 0.014) * sigmoid((base - y) / 0.008) * (y > 0)
        air += lung
        floor = np.where(u > 0, base, floor)
    return air, floor


def _heart(rng: np.random.Generator, x: Map, y: Map, base: Map) -> Map:
    """Heart, aortic knob, great vessels and what lies below the diaphragm."""
    cx, cy = rng.uniform(0.07, 0.15), rng.uniform(0.62, 0.70)
    a, b, turn = rng.uniform(0.26, 0.40), rng.uniform(0.15, 0.21), rng.uniform(0.25, 0.6)
    p = (x - cx) * np.cos(turn) + 1.6 * (y - cy) * np.sin(turn)
    q = -(x - cx) * np.sin(turn) / 1.6 + (y - cy) * np.cos(turn)
    heart = sigmoid((1 - np.hypot(p / a, q / b)) / 0.05)
    knob = sigmoid((1 - np.hypot((x - 0.12) / rng.uniform(0.07, 0.12), (y - 0.30) / 0.06)) / 0.12)
    great = sigmoid((rng.uniform(0.11, 0.17) - np.abs(x - 0.01)) / 0.018)
    belly = sigmoid((y - base) / 0.02)
    bubble = np.hypot((x - rng.uniform(0.25, 0.42)) / rng.uniform(0.08, 0.18), (y - base - 0.07) / 0.04)
    stomach = sigmoid((1 - bubble) / 0.12) * belly
    shadow = 0.48 * np.maximum(np.maximum(heart * (1 - 0.6 * belly), 0.6 * knob), 0.6 * great) + 0.10 * belly
    return np.asarray(shadow - rng.uniform(0, 0.3) * stomach, dtype=np.float32)


def _soft_shadows(rng: np.random.Generator, x: Map, y: Map, lungs: Map) -> Map:
    """Breasts or muscles, shoulder blades, and now and then an opacity in a lung."""
    shadow = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    size, low = rng.uniform(0.24, 0.40), rng.uniform(0.62, 0.76)
    weight = rng.uniform(0.0, 0.13)
    for side in (-1.0, 1.0):
        away = np.hypot((x * side - 0.46) / size, (y - low) / (0.5 * size))
        shadow += weight * sigmoid((1 - away) / 0.06) * (0.5 + 0.5 * (y - low + 0.2))
        border = 0.55 + rng.uniform(0, 0.14) + 0.35 * (0.45 - y)
        shadow += 0.10 * sigmoid((x * side - border) / 0.01) * box(y, 0.14, rng.uniform(0.40, 0.52), 0.01)
    for _ in range(rng.integers(0, 4)):
        cx, cy = rng.choice([-1, 1]) * rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.75)
        size = rng.uniform(0.04, 0.2)
        spot = sigmoid((1 - np.hypot((x - cx) / size, (y - cy) / (0.6 * size))) / rng.uniform(0.1, 0.4))
        shadow += rng.uniform(0.06, 0.22) * spot * lungs
    return shadow


def _spine(rng: np.random.Generator, x: Map, y: Map) -> Map:
    """Vertebrae with bright end plates, pedicles and spinous processes along a bent line."""
    bend, start = rng.uniform(-0.03, 0.03), rng.uniform(0, 6.28)
    off = x - bend * np.sin(3 * y + start)
    count = rng.uniform(12.5, 15.5)
    phase = y * count * (1 + 0.2 * (0.5 - y)) + start
    within = phase - np.floor(phase)
    width = 0.085 + 0.03 * y
    column = sigmoid((width - np.abs(off)) / 0.008)
    plates = np.exp(-((((within - 0.5) / 0.5) ** 2 - 0.72) ** 2) / 0.006) + 0.0 * x
    pedicles = np.exp(-((np.abs(off) - 0.6 * width) ** 2 / 0.0003 + (within - 0.35) ** 2 / 0.02))
    spines = np.exp(-(off**2 / 0.0002 + (within - 0.75) ** 2 / 0.03))
    return np.asarray(column * (0.07 + 0.07 * plates) + 0.08 * pedicles + 0.10 * spines, dtype=np.float32)


@dataclass(frozen=True)
class _Bone:
    """A bone, or anything as long and thin.

    Attributes:
        xs: ``(n,)`` x along the bone, rising.
        ys: ``(n,)`` y along the bone.
        half: Half its thickness.
        weight: How much of the beam it stops.
    """

    xs: Map
    ys: Map
    half: float
    weight: float


def _add_bone(canvas: Map, x: Map, y: Map, bone: _Bone) -> None:
    """Adds a bone with a denser cortex.

    Only the window that the bone lies in is touched, which makes a film fast to draw.
    """
    xs, ys, half = bone.xs, bone.ys, bone.half
    columns = np.flatnonzero((x[0] >= xs[0]) & (x[0] <= xs[-1]))
    rows = np.flatnonzero((y[:, 0] >= ys.min() - 3 * half) & (y[:, 0] <= ys.max() + 3 * half))
    if not len(columns) or not len(rows):
        return
    window = np.s_[rows[0] : rows[-1] + 1, columns.min() : columns.max() + 1]
    at = x[0, window[1]]
    # Half, because a unit of x is half as many pixels as a unit of y.
    slope = np.interp(at, xs, np.gradient(ys, xs)) / 2
    across = np.abs(y[window[0]] - np.interp(at, xs, ys)) / (half * np.sqrt(1 + slope**2))
    density = sigmoid((1 - across) / 0.12) * (0.55 + 0.45 * across.clip(0, 1) ** 3)
    canvas[window] += (bone.weight * density).astype(np.float32)


def _ribs(rng: np.random.Generator, x: Map, y: Map) -> Map:
    """Ten pairs of ribs: the back part falls gently from the spine, the front part steeply inwards."""
    bone = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    top, gap = rng.uniform(0.09, 0.14), rng.uniform(0.068, 0.080)
    wide, steep, front = rng.uniform(0.72, 0.86), rng.uniform(0.03, 0.13), rng.uniform(0.12, 0.2)
    half = rng.uniform(0.0095, 0.0135)
    u = np.linspace(0, 1, 60)
    sweep = np.sin(u * np.pi / 2)
    for side in (-1.0, 1.0):
        for i in range(10):
            reach = wide * (1 - 0.62 * np.exp(-0.75 * (i + 0.6))) + rng.normal(0, 0.012)
            start = top + gap * i + rng.normal(0, 0.004)
            bow, fall = rng.uniform(0.02, 0.045), steep + 0.02 * i / 3 + rng.normal(0, 0.006)
            back_y = start - bow * np.sin(u * np.pi * 0.8) + fall * u**2
            _add_bone(bone, x * side, y, _Bone(0.06 + (reach - 0.06) * sweep, back_y, half, 0.20))
            end = 0.25 + 0.03 * i + rng.uniform(-0.03, 0.03)
            front_y = back_y[-1] + front * (1 - u**1.5) * (0.6 + 0.05 * i) + 0.012
            if i < 8:
                _add_bone(bone, x * side, y, _Bone(end + (reach - end) * sweep, front_y, 1.15 * half, 0.11))
    return bone


def _clavicles(rng: np.random.Generator, x: Map, y: Map) -> Map:
    bone = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    for side in (-1.0, 1.0):
        xs = np.linspace(0.07, rng.uniform(0.72, 0.85), 40)
        t = (xs - xs[0]) / (xs[-1] - xs[0])
        ys = rng.uniform(0.17, 0.23) - rng.uniform(0.04, 0.1) * t + 0.02 * np.sin(2 * np.pi * t)
        _add_bone(bone, x * side, y, _Bone(xs, ys, rng.uniform(0.012, 0.018), 0.22))
    return bone


def _vessels(rng: np.random.Generator, x: Map, y: Map) -> Map:
    """Trees that leave both hila, fork, and thin out; 0..1."""
    rows, columns = np.broadcast_shapes(x.shape, y.shape)
    layers = [np.zeros((rows, columns), dtype=np.float32) for _ in range(4)]
    buds = []
    for side in (-1.0, 1.0):
        for angle in np.linspace(-1.35, 1.35, int(rng.integers(6, 9))):
            spot = np.array([side * rng.uniform(0.13, 0.17), rng.uniform(0.43, 0.50)])
            buds.append((spot, np.arctan2(np.sin(angle), side * np.cos(angle)) + rng.normal(0, 0.15), 0))
    while buds:
        spot, angle, order = buds.pop()
        steps = max(int(rng.uniform(0.10, 0.20) * rows / (1 + 0.35 * order)), 4)
        angles = angle + np.cumsum(rng.normal(0, 0.035, steps))
        path = spot + np.cumsum(np.stack([2 * np.cos(angles), np.sin(angles)], axis=1), axis=0) / rows
        column = ((path[:, 0] + 1) / 2 * columns).astype(int).clip(0, columns - 1)
        row = (path[:, 1] * rows).astype(int).clip(0, rows - 1)
        np.add.at(layers[order], (row, column), 1.0)
        if order < 3:
            for turn in (rng.uniform(0.2, 0.6), -rng.uniform(0.2, 0.6)):
                buds.append((path[-1], angles[-1] + turn, order + 1))
    thick = (3.2, 2.2, 1.5, 1.0)
    trees = sum(smoothed(layer, s * rows / 450) * 2.5 * s for layer, s in zip(layers, thick, strict=True))
    return np.asarray(np.tanh(trees), dtype=np.float32)


def _devices(rng: np.random.Generator, x: Map, y: Map) -> Map:
    """An L on the left always; leads, a pacemaker or clips for some."""
    mx, my = rng.uniform(0.72, 0.9), rng.uniform(0.04, 0.12)
    stem = box(x, mx - 0.008, mx + 0.008, 0.002) * box(y, my, my + 0.05, 0.002)
    foot = box(x, mx, mx + 0.045, 0.002) * box(y, my + 0.042, my + 0.05, 0.002)
    metal = 1.2 * np.maximum(stem, foot)
    for _ in range(rng.integers(0, 4) if rng.random() < 0.4 else 0):
        xs = np.linspace(-0.9, 0.9, 80)
        ys = rng.uniform(0.1, 0.7) + rng.uniform(-0.3, 0.3) * xs + 0.05 * np.sin(rng.uniform(2, 6) * xs)
        _add_bone(metal, x, y, _Bone(xs, ys, 0.004, 0.35))
    if rng.random() < 0.12:
        cx, cy = rng.uniform(0.4, 0.6), rng.uniform(0.2, 0.32)
        metal = metal + 0.9 * sigmoid((1 - np.hypot((x - cx) / 0.09, (y - cy) / 0.05)) / 0.06)
    return np.asarray(metal, dtype=np.float32)


def _exposed(rng: np.random.Generator, beam: Map, body: Map, bits: int) -> FilmPixels:
    """From attenuation to stored numbers: film curve, grain, depth."""
    light = 1 - np.exp(-rng.uniform(1.0, 1.6) * beam.clip(0))
    light = smoothed(light.astype(np.float32), rng.uniform(0.4, 0.8))
    low, high = np.percentile(light[body > 0.2], [0.5, 99.8])
    light = ((light - low * rng.uniform(0.6, 0.95)) / (1.04 * high - 0.8 * low)).clip(0, 1) ** rng.uniform(
        0.8, 1.3
    )
    light += rng.normal(0, rng.uniform(0.004, 0.012), light.shape) * (0.3 + light)
    top = 2**bits - 1
    return np.asarray(np.rint(light.clip(0, 1) * top), dtype=np.uint8 if bits == 8 else np.uint16)
