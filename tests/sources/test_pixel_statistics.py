"""Numbers that are likely pixels are told from others, in whatever type they are written."""

from __future__ import annotations

import numpy as np
import pytest

from leakscan.sources.pixel_statistics import bytes_look_like_pixels, look_like_pixels
from support.odd_files import texture
from support.unmarked_files import SMOOTH_NUMBERS, film

TYPES = ("u1", "<u2", ">u2", "<i2", ">i2", "<f4", ">f4", "<f8")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("seed", range(5))
def test_pixels_are_known_in_every_type(seed: int, kind: str) -> None:
    pixels = film(texture(seed)).astype(float) / (1 if kind[-2] in "ui" else 255)
    assert bytes_look_like_pixels(b"header" * 4 + pixels.astype(kind).tobytes())


@pytest.mark.parametrize("size", [28, 32, 64])
def test_small_pictures_are_known(size: int) -> None:
    assert all(look_like_pixels(texture(seed, size)) for seed in range(8))


@pytest.mark.parametrize("name", [name for name in SMOOTH_NUMBERS if not name.endswith(".parquet")])
def test_other_numbers_are_not_pixels(name: str) -> None:
    assert not bytes_look_like_pixels(SMOOTH_NUMBERS[name])


def test_noise_of_every_type_is_not_pixels() -> None:
    for seed in range(40):
        assert not bytes_look_like_pixels(np.random.default_rng(seed).bytes(70_000))
