"""What the second look at anatomy promises, on drawn films."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from leakscan.decide.verify.anatomy import (
    SIDE,
    AnatomyFeatures,
    AnatomyMatch,
    compare_anatomy,
    describe_anatomy,
)
from leakscan.evaluation.drawing import draw_film

Film = npt.NDArray[np.float32]


def drawn(subject: int) -> Film:
    return draw_film(np.random.default_rng(subject), height=400).astype(np.float32)


def another_exposure(film: Film, seed: int = 0) -> Film:
    """The same anatomy turned, cropped, brighter, of another contrast and with other grain."""
    rng = np.random.default_rng(seed)
    height, width = film.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 4.0, 1.05)
    moved = cv2.warpAffine(film, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    cropped = moved[15 : height - 10, 12 : width - 20]
    return np.asarray(40 + 600 * (cropped / 255) ** 1.4 + rng.normal(0, 6, cropped.shape), np.float32)


@pytest.fixture(scope="module")
def films() -> list[AnatomyFeatures]:
    return [describe_anatomy(drawn(subject)) for subject in range(5)]


def test_the_same_anatomy_scores_far_above_different_anatomy(films: list[AnatomyFeatures]) -> None:
    same = [compare_anatomy(films[s], describe_anatomy(another_exposure(drawn(s), s))) for s in range(5)]
    other = [compare_anatomy(films[s], films[t]) for s in range(5) for t in range(s)]
    assert min(m.score for m in same) > 1.5 * max(m.score for m in other)
    assert min(m.matches for m in same) > max(m.matches for m in other)


def test_a_negative_shows_the_same_anatomy(films: list[AnatomyFeatures]) -> None:
    negative = compare_anatomy(films[0], describe_anatomy(255.0 - drawn(0)))
    assert negative.score > 2 * compare_anatomy(films[0], films[1]).score


def test_a_black_frame_changes_little(films: list[AnatomyFeatures]) -> None:
    framed = describe_anatomy(np.pad(drawn(0), 30))
    assert compare_anatomy(films[0], framed).matches > 0.5 * len(films[0].points)


def test_a_mirrored_film_is_other_anatomy(films: list[AnatomyFeatures]) -> None:
    mirrored = compare_anatomy(films[0], describe_anatomy(drawn(0)[:, ::-1]))
    assert mirrored.score < 0.3 * compare_anatomy(films[0], films[0]).score


def test_the_order_of_the_two_does_not_matter(films: list[AnatomyFeatures]) -> None:
    for s in range(5):
        for t in range(s):
            assert compare_anatomy(films[s], films[t]) == compare_anatomy(films[t], films[s])


def test_the_same_films_give_the_same_finding_every_time(films: list[AnatomyFeatures]) -> None:
    again = [describe_anatomy(drawn(subject)) for subject in (0, 1)]
    cv2.setRNGSeed(1234)
    assert compare_anatomy(*again) == compare_anatomy(films[0], films[1])


def test_features_cross_processes_and_stay_small(films: list[AnatomyFeatures]) -> None:
    sent = pickle.dumps(films[0])
    assert len(sent) < 150_000
    assert compare_anatomy(pickle.loads(sent), films[1]) == compare_anatomy(films[0], films[1])


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((300, 280)),
        np.full((300, 280), 173.0),
        np.full((300, 280), np.nan),
        np.zeros((1, 1)),
        np.arange(20.0)[:, None] * np.ones(20),
        np.ones((400, 3)),
    ],
    ids=["black", "flat", "not a number", "one pixel", "tiny", "a strip"],
)
def test_a_blank_or_tiny_picture_is_no_evidence(
    films: list[AnatomyFeatures], pixels: npt.NDArray[np.float64]
) -> None:
    nothing = describe_anatomy(pixels)
    for found in (compare_anatomy(nothing, films[0]), compare_anatomy(nothing, nothing)):
        assert (found.matches, found.candidates, found.score) == (0, 0, 0.0)


def test_the_match_says_how_many_pixels_both_films_have(films: list[AnatomyFeatures]) -> None:
    small = describe_anatomy(cv2.resize(drawn(0), (100, 120), interpolation=cv2.INTER_AREA))
    assert compare_anatomy(films[0], small).shared_px == 120
    assert films[0].native_px == max(drawn(0).shape)


def test_keypoints_lie_on_the_square_in_order_of_size(films: list[AnatomyFeatures]) -> None:
    points = films[0].points
    assert (np.diff(points[:, 2]) >= 0).all()
    assert points[:, :2].min() >= 0
    assert points[:, :2].max() < SIDE


def test_the_score_divides_by_the_root_of_the_candidates(films: list[AnatomyFeatures]) -> None:
    found = compare_anatomy(films[0], films[0])
    assert isinstance(found, AnatomyMatch)
    assert 0 < found.matches <= found.candidates
    assert found.score == pytest.approx(found.matches / np.sqrt(found.candidates + 20))
