"""Blobs are found where they are, as large as they are, and the same in a negative."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leakscan.fingerprint.blobs import find_blobs


def spots(*sizes: float) -> np.ndarray:
    """Bright Gaussian spots of some standard deviations, side by side on grey."""
    y, x = np.mgrid[:96, : 48 * len(sizes)].astype(np.float32)
    out = np.full(x.shape, 60.0, np.float32)
    for number, size in enumerate(sizes):
        out += 120 * np.exp(-((x - 24 - 48 * number) ** 2 + (y - 40) ** 2) / (2 * size**2))
    return np.clip(out, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [2.0, 3.0, 5.0])
def test_a_spot_is_found_where_it_is_and_as_large_as_it_is(size: float) -> None:
    blobs = find_blobs(spots(size))
    best = int(blobs.strength.argmax())
    assert np.abs(blobs.points[best] - [24, 40]).max() < 0.5
    assert size / 1.4 < blobs.size[best] < size * 1.4


def test_a_negative_has_the_same_blobs() -> None:
    picture = cv2.resize(np.random.default_rng(1).integers(0, 256, (20, 24), np.uint8), (160, 140))
    one, other = find_blobs(picture), find_blobs(255 - picture)
    assert len(one) > 20
    assert np.allclose(np.sort(one.points, axis=0), np.sort(other.points, axis=0), atol=0.05)


def test_edges_and_flat_pictures_have_none() -> None:
    edge = np.zeros((80, 80), np.uint8)
    edge[:, 40:] = 200
    assert len(find_blobs(edge)) == 0
    assert len(find_blobs(np.full((80, 80), 7, np.uint8))) == 0
    assert len(find_blobs(np.zeros((3, 200), np.uint8))) == 0
