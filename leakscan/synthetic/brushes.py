"""Brushes: soft edges and smooth noise in two and three dimensions, with numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.floating[Any]]


def sigmoid(distance: Map) -> Map:
    """1 well inside (where ``distance`` is positive), 0 well outside, and a half on the edge."""
    return np.asarray(1 / (1 + np.exp(-np.clip(distance, -30, 30))))


def box(at: Map, low: Map | float, high: Map | float, soft: float) -> Map:
    """1 between ``low`` and ``high``, with edges ``soft`` wide."""
    return np.asarray(sigmoid((at - low) / soft) * sigmoid((high - at) / soft))


def _frequencies(shape: tuple[int, ...]) -> Map:
    """Squared spatial frequency, in cycles per sample, on the grid of ``rfftn``."""
    axes = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(sum(grid**2 for grid in grids), dtype=np.float32)


def smoothed(values: Map, sigma: float) -> Map:
    """Gaussian blur of ``sigma`` samples; edges wrap around."""
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * _frequencies(values.shape))
    return np.fft.irfftn(np.fft.rfftn(values) * transfer, values.shape, axes=range(values.ndim))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Map:
    """Noise of unit deviation whose grains are about ``sigma`` samples wide."""
    noise = smoothed(rng.standard_normal(shape, dtype=np.float32), sigma)
    return np.asarray((noise - noise.mean()) / noise.std())


def coloured_noise(rng: np.random.Generator, shape: tuple[int, ...], exponent: float) -> Map:
    """Noise of unit deviation whose power falls as frequency to the ``exponent``."""
    spectrum = np.fft.rfftn(rng.standard_normal(shape, dtype=np.float32))
    power = _frequencies(shape).clip(1e-5) ** (-exponent / 4)
    noise = np.fft.irfftn(spectrum * power, shape, axes=range(len(shape)))
    return np.asarray((noise - noise.mean()) / noise.std())
