"""Brushes: soft edges and smooth noise in two and three dimensions, with numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.floating[Any]]


def sigmoid(distance: Map) -> Map:
    """1 well inside (where ``distance`` is positive), 0 well outside, and a half on the edge.

    Example:
        >>> sigmoid(np.array([-9.0, 0.0, 9.0])).round(2).tolist()
        [0.0, 0.5, 1.0]
    """
    return np.asarray(1 / (1 + np.exp(-np.clip(distance, -30, 30))))


def box(at: Map, low: Map | float, high: Map | float, soft: float) -> Map:
    """1 between ``low`` and ``high``, with edges ``soft`` wide.

    Example:
        >>> box(np.arange(6.0), low=1.5, high=3.5, soft=0.1).round(2).tolist()
        [0.0, 0.01, 0.99, 0.99, 0.01, 0.0]
    """
    return np.asarray(sigmoid((at - low) / soft) * sigmoid((high - at) / soft))


def _frequencies(shape: tuple[int, ...]) -> Map:
    """Squared spatial frequency, in cycles per sample, on the grid of ``rfftn``."""
    axes = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(sum(grid**2 for grid in grids), dtype=np.float32)


def smoothed(values: Map, sigma: float) -> Map:
    """Gaussian blur of ``sigma`` samples; edges wrap around.

    Example:
        >>> dot = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        >>> smoothed(dot, sigma=1).round(2).tolist()
        [0.0, 0.05, 0.24, 0.4, 0.24, 0.05, 0.0]
    """
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * _frequencies(values.shape))
    return np.fft.irfftn(np.fft.rfftn(values) * transfer, values.shape, axes=range(values.ndim))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Map:
    """Noise of unit deviation whose grains are about ``sigma`` samples wide.

    Example:
        >>> lumps = smooth_noise(np.random.default_rng(0), (64, 64), sigma=4)
        >>> fine = smooth_noise(np.random.default_rng(0), (64, 64), sigma=1)
        >>> bool(np.diff(lumps).std() < np.diff(fine).std())
        True
    """
    noise = smoothed(rng.standard_normal(shape, dtype=np.float32), sigma)
    return np.asarray((noise - noise.mean()) / noise.std())


def coloured_noise(rng: np.random.Generator, shape: tuple[int, ...], exponent: float) -> Map:
    """Noise of unit deviation whose power falls as frequency to the ``exponent``.

    Example:
        >>> white = coloured_noise(np.random.default_rng(0), (64, 64), exponent=0)
        >>> cloudy = coloured_noise(np.random.default_rng(0), (64, 64), exponent=3)
        >>> bool(np.diff(cloudy).std() < np.diff(white).std())
        True
    """
    spectrum = np.fft.rfftn(rng.standard_normal(shape, dtype=np.float32))
    power = _frequencies(shape).clip(1e-5) ** (-exponent / 4)
    noise = np.fft.irfftn(spectrum * power, shape, axes=range(len(shape)))
    return np.asarray((noise - noise.mean()) / noise.std())
