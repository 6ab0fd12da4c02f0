"""Keypoints that a store keeps tell strangers apart, and never a copy from its original."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from leakscan.decide.copies import NOT_ALIGNED
from leakscan.decide.copies.copy_check import PixelPair, check_copies
from leakscan.decide.copies.keypoint_vote import AGREEING, agreeing, vote
from leakscan.decide.copies.picture_check import check_as_voted, check_pictures, describe_picture
from leakscan.fingerprint.keypoints import MOST, Keypoints, find_keypoints
from leakscan.synthetic import alterations as alter
from support.made_up_run import made_up_run
from support.makers import Picture

Alter = Callable[[Picture, np.random.Generator], Picture]


def framed(film: Picture, _: np.random.Generator) -> Picture:
    """The film at 70 % in a grey frame, as a viewer's screenshot shows it."""
    height, width = film.shape
    out = np.full((round(height / 0.7), round(width / 0.7)), 128, np.uint8)
    out[height // 5 : height // 5 + height, width // 5 : width // 5 + width] = film
    return out


def shifted(film: Picture, _: np.random.Generator) -> Picture:
    """The film moved down and to the right, what is missing there mirrored in."""
    height, width = film.shape
    return np.pad(film, ((height // 8, 0), (width // 10, 0)), mode="reflect")[:height, :width]


def lettered(film: Picture, rng: np.random.Generator) -> Picture:
    """The film with four words burnt in."""
    out = film.copy()
    for y in (30, 80, 130, 180):
        cv2.putText(out, "PORTABLE", (int(rng.integers(0, 60)), y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    return out


def all_at_once(film: Picture, rng: np.random.Generator) -> Picture:
    return alter.inversion(alter.mirror(alter.crop(film, rng, 0.25), rng), rng)  # type: ignore[return-value]


KINDS: dict[str, Alter] = {
    "half": alter.half_size,  # type: ignore[dict-item]
    "cropped": lambda film, rng: alter.crop(film, rng, 0.3),  # type: ignore[dict-item, return-value]
    "brighter": alter.brightness,  # type: ignore[dict-item]
    "gamma": alter.gamma,  # type: ignore[dict-item]
    "equalised": alter.clahe,  # type: ignore[dict-item]
    "mirrored": alter.mirror,  # type: ignore[dict-item]
    "turned": alter.turn_3,  # type: ignore[dict-item]
    "on its side": alter.turn_90,  # type: ignore[dict-item]
    "inverted": alter.inversion,  # type: ignore[dict-item]
    "framed": framed,
    "shifted": shifted,
    "lettered": lettered,
    "cropped, mirrored and inverted": all_at_once,
}


def kept(film: Picture) -> bytes:
    return find_keypoints(film.astype(np.float32)).to_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_never_told_apart(films: list[Picture], kind: str) -> None:
    rng = np.random.default_rng(3)
    for film in films[:3]:
        copy = kept(np.asarray(KINDS[kind](film, rng), np.uint8))
        assert vote(kept(film), copy) is not False, kind
        assert vote(copy, kept(film)) is not False, kind


def test_strangers_are_told_apart(films: list[Picture]) -> None:
    described = [kept(film) for film in films]
    pairs = [(i, j) for i in range(len(films)) for j in range(i)]
    assert sum(vote(described[i], described[j]) is not False for i, j in pairs) <= 1


def test_two_kilobytes_say_nearly_what_the_keypoints_say(films: list[Picture]) -> None:
    film, smaller = (find_keypoints(f.astype(np.float32)) for f in (films[0], films[0][::2, ::2]))
    raw = film.to_bytes()
    assert len(raw) <= 1 + 18 * MOST
    assert agreeing(Keypoints.from_bytes(raw), smaller) >= max(AGREEING, agreeing(film, smaller) - 8)


def test_keypoints_of_another_version_tell_nobody_apart(films: list[Picture]) -> None:
    """Stores of an earlier leakscan hold keypoints of other places: copies would be lost by them."""
    raw, stranger = kept(films[0]), kept(films[1])
    assert vote(raw, stranger) is False
    assert vote(raw[1:], stranger) is None  # as they were kept before
    assert vote(raw, b"\7" + stranger[1:]) is None


def test_a_picture_with_hardly_any_keypoints_is_left_to_the_pixels() -> None:
    drawn = np.zeros((100, 100), np.uint8)
    drawn[30:60, 40:70] = 200
    assert vote(kept(drawn), kept(np.rot90(drawn).copy())) is not False


def test_strangers_are_told_apart_without_their_pixels_and_copies_are_not_vouched_for(
    films: list[Picture],
) -> None:
    film, stranger, copy = kept(films[0]), kept(films[1]), kept(films[0][:, ::-1].copy())
    pairs = [
        PixelPair(key_a="1", key_b=str(n), a=None, b=None, keypoints_a=film, keypoints_b=other, ndim=2)
        for n, other in enumerate((stranger, copy))
    ]
    apart, unknown = check_copies(pairs, made_up_run())
    assert apart is not None and not apart.same_image
    assert unknown is None


LAID = ("half", "mirrored", "inverted", "on its side", "cropped", "turned")


@pytest.mark.parametrize("kind", LAID)
def test_the_vote_lays_a_copy_on_its_original_without_describing_either(
    films: list[Picture], kind: str
) -> None:
    film = films[0]
    copy = np.asarray(KINDS[kind](film, np.random.default_rng(3)), np.uint8)
    a, b = (describe_picture(values.astype(np.float32), keypoints=0) for values in (film, copy))
    assert len(a.points) == 0
    found = check_as_voted(a, b, (kept(film), kept(copy)))
    fully = check_pictures(*(describe_picture(values.astype(np.float32)) for values in (film, copy)))
    assert found is not None
    assert found.same_image
    assert found.transform == fully.transform
    assert found.correlation == pytest.approx(fully.correlation, abs=0.03)
    assert check_as_voted(b, a, (kept(copy), kept(film))) == found.swapped()


def test_the_vote_calls_no_other_film_a_copy(films: list[Picture]) -> None:
    plain = [describe_picture(film.astype(np.float32), keypoints=0) for film in films]
    for i in range(1, len(films)):
        found = check_as_voted(plain[0], plain[i], (kept(films[0]), kept(films[i])))
        assert found is None or not found.same_image


def test_strangers_with_few_agreeing_keypoints_are_told_at_sight(films: list[Picture]) -> None:
    plain = [describe_picture(film.astype(np.float32), keypoints=0) for film in films[:2]]
    few = [a_square_of_keypoints(), a_square_of_keypoints()]
    assert vote(few[0], few[1]) is None  # too few of them on the whole, though all agree
    assert check_as_voted(plain[0], plain[1], (few[0], few[1])) == NOT_ALIGNED
    assert check_as_voted(plain[0], plain[0], (few[0], few[1])) != NOT_ALIGNED


def test_strangers_with_many_agreeing_keypoints_are_told_once_they_are_laid_on_each_other(
    films: list[Picture],
) -> None:
    plain = [describe_picture(film.astype(np.float32), keypoints=0) for film in films[:2]]
    same = kept(films[0])
    assert agreeing(Keypoints.from_bytes(same), Keypoints.from_bytes(same)) > 9
    assert check_as_voted(plain[0], plain[1], (same, same)) == NOT_ALIGNED


def a_square_of_keypoints() -> bytes:
    """Nine keypoints that lie alike in every picture that has them."""
    places = np.array([(x, y) for x in (30, 80, 130) for y in (30, 80, 130)], np.float32)
    return Keypoints(places, np.random.default_rng(0).random((9, 128)) < 0.5).to_bytes()
