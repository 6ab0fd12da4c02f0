"""A picture that was squashed, to a quarter of its height even, is found, and strangers are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import leakscan
from leakscan.run.models import Models
from leakscan.synthetic.films import draw_film
from support.makers import Picture, save


def film(seed: int) -> Picture:
    drawn = draw_film(np.random.default_rng(seed)).astype(np.float32)
    small = cv2.resize(drawn, (240, 260), interpolation=cv2.INTER_AREA)
    return np.asarray((small - small.min()) / np.ptp(small) * 255, np.uint8)


def squashed(picture: Picture, across: float, down: float) -> Picture:
    size = (round(picture.shape[1] * across), round(picture.shape[0] * down))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def test_squashed_pictures_are_found_and_strangers_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [(1.0, 0.5), (1.0, 0.25), (0.4, 1.0), (0.3, 0.9)]
    for number, (across, down) in enumerate(changes):
        save(tmp_path / "A" / f"{number}.png", film(number))
        other = squashed(film(number), across, down)
        save(tmp_path / "B" / f"{number}.png", other[:, ::-1] if number % 2 else other)
        save(tmp_path / "B" / f"other-{number}.png", squashed(film(100 + number), across, down))
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
    settings = leakscan.Settings.of(workers=0, kind="other_2d", cache=tmp_path / "cache")
    found = leakscan.compare(tmp_path / "A", tmp_path / "B", settings=settings).pairs.to_pylist()
    assert {(p["path_a"], p["path_b"], p["relation"]) for p in found} == {
        (f"{n}.png", f"{n}.png", "same_image") for n in range(len(changes))
    }
    assert all("stretch" in p["transform"] for p in found)
