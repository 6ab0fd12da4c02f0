"""Promises of the verification of two pictures, on drawn films."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import fields
from functools import cache

import cv2
import numpy as np
import pytest

from leakscan.decide.copies.keypoint_vote import vote
from leakscan.decide.copies.picture_check import PictureFeatures, check_pictures, describe_picture
from leakscan.fingerprint.keypoints import find_keypoints
from support.drawn_subjects import Floats, film, second_film


@cache
def drawn(subject: int) -> PictureFeatures:
    return describe_picture(film(subject))


def as_bytes(picture: Floats) -> np.ndarray:
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpeg(picture: Floats, quality: int) -> Floats:
    coded = cv2.imencode(".jpg", as_bytes(picture), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE).astype(np.float32)


def crop(picture: Floats, share: float) -> Floats:
    height, width = picture.shape
    return picture[int(height * share * 0.7) : height - int(height * share * 0.3), : int(width * (1 - share))]


def resize(picture: Floats, fx: float, fy: float) -> Floats:
    return cv2.resize(picture, None, fx=fx, fy=fy, interpolation=cv2.INTER_AREA)


def turned(picture: Floats, degrees: float) -> Floats:
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (width, height))


def annotated(picture: Floats) -> Floats:
    out = as_bytes(picture)
    cv2.putText(out, "PORTABLE 12:30", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
    cv2.arrowedLine(out, (250, 300), (200, 220), 255, 4)
    return out.astype(np.float32)


def masked(picture: Floats, ground: float = 0) -> Floats:
    """Two ovals where lungs would be, and an even ground around them."""
    height, width = picture.shape
    mask = np.zeros_like(picture)
    for middle in (width // 3, 2 * width // 3):
        cv2.ellipse(mask, (middle, height // 2), (width // 6, height // 3), 0, 0, 360, 1, -1)
    return picture * mask + ground * (1 - mask)


ALTERATIONS: dict[str, tuple[Callable[[Floats], Floats], str]] = {
    "nothing": (lambda p: p, ""),
    "16-bit numbers": (lambda p: p * 257, ""),
    "12-bit numbers": (lambda p: p * 16, ""),
    "JPEG quality 50": (lambda p: jpeg(p, 50), ""),
    "half size": (lambda p: resize(p, 0.5, 0.5), "scale"),
    "half its height": (lambda p: resize(p, 1, 0.5), None),
    "half its width, turned": (lambda p: np.rot90(resize(p, 0.5, 1)), None),
    "ground set to zero": (masked, None),
    "ground set to white": (lambda p: masked(p, 255), None),
    "ground set to grey": (lambda p: masked(p, 128), None),
    "ground set to its mean, as JPEG": (lambda p: jpeg(masked(p, float(p.mean())), 80), None),
    "crop of 10 %": (lambda p: crop(p, 0.10), "crop"),
    "crop of 25 %": (lambda p: crop(p, 0.25), "crop"),
    "brighter, clipped": (lambda p: np.clip(p + 45, 0, 255), None),
    "gamma": (lambda p: 255 * (p / 255) ** 1.6, None),
    "CLAHE": (lambda p: cv2.createCLAHE(3.0, (8, 8)).apply(as_bytes(p)).astype(np.float32), "grey"),
    "mirror": (lambda p: p[:, ::-1], "hflip"),
    "upside down": (lambda p: p[::-1], "vflip"),
    "turn by 3 degrees": (lambda p: turned(p, 3), "rotate"),
    "quarter turn": (np.rot90, "rot90"),
    "three quarter turn": (lambda p: np.rot90(p, 3), "rot270"),
    "half turn": (lambda p: np.rot90(p, 2), "rot180"),
    "transpose": (lambda p: p.T, "transpose"),
    "other diagonal": (lambda p: np.rot90(p, 2).T, "antitranspose"),
    "inversion": (lambda p: 255 - p, "invert"),
    "inverted mirror": (lambda p: 255 - p[:, ::-1], "hflip+invert"),
    "squeezed into a square": (
        lambda p: cv2.resize(p, (224, 224), interpolation=cv2.INTER_AREA),
        "scale+stretch",
    ),
    "crop, then other sides": (lambda p: resize(crop(p, 0.2), 0.7, 0.85), "crop+scale+stretch"),
    "letters and an arrow": (annotated, None),
    "frame": (lambda p: cv2.copyMakeBorder(p, 10, 60, 30, 20, cv2.BORDER_CONSTANT, value=0), "crop"),
    "all at once": (
        lambda p: 255 - jpeg(resize(crop(p, 0.15), 0.6, 0.6), 60)[:, ::-1],
        "hflip+invert+crop+scale",
    ),
    "64 pixels": (lambda p: resize(p, 64 / 360, 64 / 360), "scale"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
@pytest.mark.parametrize("subject", [1, 2])
def test_an_altered_copy_is_the_same_image_and_the_alteration_is_named(name: str, subject: int) -> None:
    alter, words = ALTERATIONS[name]
    altered = describe_picture(np.ascontiguousarray(alter(film(subject))).astype(np.float32))
    found = check_pictures(drawn(subject), altered)
    assert found.same_image, found
    assert words is None or found.transform == words
    assert 0.9 <= found.overlap <= 1.0


@pytest.mark.parametrize("seed", range(6))
def test_a_second_film_of_the_same_chest_is_not_the_same_image(seed: int) -> None:
    other = describe_picture(second_film(subject=1, seed=seed))
    assert not check_pictures(drawn(1), other).same_image


def test_films_of_different_chests_are_not_the_same_image() -> None:
    found = [check_pictures(drawn(a), drawn(b)) for a in range(6) for b in range(a)]
    assert not any(each.same_image for each in found)


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_strangers_masked_to_one_shape_are_not_the_same_image(ground: float) -> None:
    masks = [describe_picture(masked(film(subject), ground)) for subject in (1, 2, 3)]
    assert not any(check_pictures(masks[a], masks[b]).same_image for a, b in ((0, 1), (0, 2), (1, 2)))
    assert not check_pictures(drawn(1), masks[1]).same_image


def test_the_same_letters_on_different_films_do_not_make_them_the_same_image() -> None:
    found = check_pictures(describe_picture(annotated(film(1))), describe_picture(annotated(film(2))))
    assert not found.same_image


@pytest.mark.parametrize("alter", ["quarter turn", "inverted mirror", "crop, then other sides", "CLAHE"])
def test_the_order_of_the_two_changes_nothing_but_the_direction_of_a_turn(alter: str) -> None:
    a, b = drawn(3), describe_picture(np.ascontiguousarray(ALTERATIONS[alter][0](film(3))))
    forth, back = check_pictures(a, b), check_pictures(b, a)
    assert back.same_image == forth.same_image
    assert back.correlation == pytest.approx(forth.correlation, abs=1e-6)
    assert (back.inliers, back.overlap) == (forth.inliers, pytest.approx(forth.overlap))
    assert back.transform == forth.transform.replace("rot90", "rot270")


def test_order_changes_nothing_for_different_films() -> None:
    for other in (drawn(2), describe_picture(second_film(1))):
        forth, back = check_pictures(drawn(1), other), check_pictures(other, drawn(1))
        assert back == forth or (math.isnan(forth.correlation) and math.isnan(back.correlation))


@pytest.mark.parametrize("value", [0.0, 255.0, -1e6])
def test_blank_pictures_match_nothing_not_even_themselves(value: float) -> None:
    blank = describe_picture(np.full((200, 160), value, np.float32))
    assert blank.blank
    for other in (blank, drawn(1)):
        found = check_pictures(blank, other)
        assert not found.same_image
        assert math.isnan(found.correlation)


def shape_picture(kind: str) -> Floats:
    picture = np.full((200, 240), 60, np.uint8)
    if kind == "disc and bar":
        cv2.circle(picture, (80, 90), 40, 200, -1)
        cv2.rectangle(picture, (150, 60), (170, 180), 140, -1)
    else:
        cv2.ellipse(picture, (120, 100), (90, 30), 30, 0, 360, 180, -1)
        cv2.circle(picture, (200, 40), 15, 240, -1)
    return cv2.GaussianBlur(picture, (0, 0), 3).astype(np.float32)


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda p: p, ""),
        (lambda p: p[:, ::-1], "hflip"),
        (np.rot90, "rot90"),
        (lambda p: 255 - p, "invert"),
        (lambda p: resize(p, 0.4, 0.4), "scale"),
    ],
)
def test_a_picture_with_hardly_any_keypoints_is_still_recognised(
    alter: Callable[[Floats], Floats], words: str
) -> None:
    original = shape_picture("disc and bar")
    found = check_pictures(
        describe_picture(original), describe_picture(np.ascontiguousarray(alter(original)))
    )
    assert found.same_image, found
    assert found.transform == words


def test_two_smooth_shapes_are_told_apart() -> None:
    found = check_pictures(
        describe_picture(shape_picture("disc and bar")), describe_picture(shape_picture("ellipse"))
    )
    assert not found.same_image


def test_not_finite_values_are_tolerated() -> None:
    picture = film(1).copy()
    picture[:5, :7] = [np.nan] * 7
    picture[10, 10] = np.inf
    assert check_pictures(drawn(1), describe_picture(picture)).same_image


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 5), (400, 2)])
def test_tiny_and_thin_pictures_are_no_error(shape: tuple[int, int]) -> None:
    strip = describe_picture(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    assert not check_pictures(strip, drawn(1)).same_image


def test_features_are_small_plain_arrays_that_cross_processes() -> None:
    features = drawn(1)
    sent = pickle.loads(pickle.dumps(features))
    assert check_pictures(sent, features).same_image
    plain = (np.ndarray, int, bool, bytes, tuple)
    assert all(isinstance(getattr(features, field.name), plain) for field in fields(features))
    assert len(pickle.dumps(features)) < 300_000


def in_levels(picture: Floats, levels: int) -> Floats:
    low, high = np.percentile(picture, (0.5, 99.5))
    return np.floor(np.clip((picture - low) / (high - low), 0, 0.999) * levels).astype(np.float32)


@pytest.mark.parametrize("levels", [8, 4, 2])
def test_a_copy_of_few_grey_levels_is_the_same_image(levels: int) -> None:
    few = in_levels(film(3), levels)
    assert check_pictures(drawn(3), describe_picture(few)).same_image
    assert check_pictures(describe_picture(few[:, ::-1].copy()), drawn(3)).same_image
    assert vote(find_keypoints(few).to_bytes(), find_keypoints(film(3)).to_bytes()) is not False


@pytest.mark.parametrize("levels", [4, 2])
def test_other_films_of_few_grey_levels_stay_strangers(levels: int) -> None:
    for other in (second_film(3), film(4), film(5)):
        assert not check_pictures(drawn(3), describe_picture(in_levels(other, levels))).same_image


def mosaic(seed: int) -> Floats:
    """A texture of several scales, as a slide has."""
    rng = np.random.default_rng([9, seed])
    scales = ((12, 1.0), (40, 0.7), (110, 0.5))
    return sum(
        weight * cv2.resize(rng.random((n, n), np.float32), (640, 640), interpolation=cv2.INTER_CUBIC)
        for n, weight in scales
    )


@pytest.mark.parametrize("share", [0.5, 0.4])
def test_two_patches_of_one_slide_that_share_less_are_the_same_image(share: float) -> None:
    whole = mosaic(1)
    side = int(640 / (2 - share))
    left, right = describe_picture(whole[:, :side]), describe_picture(whole[:, -side:])
    assert check_pictures(left, right).same_image
    assert not check_pictures(left, describe_picture(mosaic(2)[:, -side:])).same_image


def test_a_quarter_of_a_picture_is_the_same_image() -> None:
    whole = mosaic(3)
    assert check_pictures(describe_picture(whole), describe_picture(whole[160:480, 160:480])).same_image
