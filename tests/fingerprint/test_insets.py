"""A film in the window of a viewer is found and known, however little of the screenshot it takes up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leakscan.decide.copies.keypoint_vote import agreeing, vote
from leakscan.fingerprint import keypoints
from leakscan.fingerprint.insets import find_inset
from leakscan.fingerprint.keypoints import MOST, find_keypoints
from leakscan.synthetic.films import draw_film
from support.makers import Picture


def screenshot(film: Picture, ground: int) -> Picture:
    """A window of 1280 by 800 pixels with bars, buttons and texts, and a film on a quarter of its width."""
    shot = np.full((800, 1280), ground, np.uint8)
    shot[:76], shot[-24:] = 110, 180
    for left in range(10, 650, 46):
        cv2.rectangle(shot, (left, 34), (left + 38, 70), 160, -1)
        cv2.line(shot, (left + 6, 64), (left + 30, 40), 20, 3)
    shot[76:-24, :150] = 40
    for top in range(90, 660, 150):
        shot[top : top + 120, 15:135] = cv2.resize(film, (120, 120))[::-1]
    cv2.putText(shot, "DOE^JOHN 1950-01-01", (160, 96), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 230, 1)
    height = round(320 * film.shape[0] / film.shape[1])
    shot[240 : 240 + height, 500:820] = cv2.resize(film, (320, height), interpolation=cv2.INTER_AREA)
    return shot


@pytest.fixture(scope="module")
def films() -> list[Picture]:
    return [np.asarray(draw_film(np.random.default_rng(seed)), np.uint8) for seed in range(6)]


@pytest.mark.parametrize("ground", [0, 128, 190])
def test_a_film_in_a_window_is_known_by_its_keypoints(films: list[Picture], ground: int) -> None:
    shots = [find_keypoints(screenshot(film, ground).astype(np.float32)) for film in films]
    plain = [find_keypoints(film.astype(np.float32)) for film in films]
    assert all(len(found) <= MOST for found in shots)
    for i, shot in enumerate(shots):
        assert vote(shot.to_bytes(), plain[i].to_bytes())
        assert np.argmax([agreeing(shot, other) for other in plain]) == i


def test_without_a_look_at_it_alone_too_little_of_it_is_left(
    films: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason for all of this; where it fails, insets may go."""
    monkeypatch.setattr(keypoints, "find_inset", lambda picture: None)
    shots = [find_keypoints(screenshot(film, 60).astype(np.float32)) for film in films]
    found = [
        agreeing(shot, find_keypoints(film.astype(np.float32)))
        for shot, film in zip(shots, films, strict=True)
    ]
    assert np.median(found) < 7


def test_places_are_those_of_the_whole(films: list[Picture]) -> None:
    whole = find_keypoints(screenshot(films[0], 60).astype(np.float32))
    inside = (abs(whole.points[:, 0] - 660 * 0.1375) < 23) & (whole.points[:, 1] > 31)
    assert inside[:60].mean() > 0.9


def test_whole_films_have_no_inset(films: list[Picture]) -> None:
    for film in films:
        small = cv2.resize(film, (160, round(160 * film.shape[0] / film.shape[1])))
        assert find_inset(small) is None
        assert find_inset(np.full_like(small, 7)) is None
