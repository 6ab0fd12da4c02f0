"""Promises of the verification of two volumes, on drawn heads."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from leakscan.decide.copies.volume_check import VolumeFeatures, check_volumes, describe_volume
from support.drawn_subjects import Floats, head

MM = (2.0, 2.0, 2.0)
Spacing = tuple[float, ...]


@cache
def drawn(subject: int) -> VolumeFeatures:
    return describe_volume(head(subject), MM)


def zoomed(volume: Floats, *factors: float) -> Floats:
    return ndimage.zoom(volume, factors, order=1)


def rotated(volume: Floats, degrees: float) -> Floats:
    return ndimage.rotate(volume, degrees, (0, 1), reshape=False, order=1)


def core(volume: Floats) -> np.ndarray:
    """The inner part of a field, where a brain lies."""
    places = np.indices(volume.shape)
    return sum(((p - n / 2) / (0.36 * n)) ** 2 for p, n in zip(places, volume.shape, strict=True)) < 1


COPIES: dict[str, tuple[Callable[[Floats], Floats], Spacing, set[str]]] = {
    "nothing": (lambda v: v, MM, set()),
    "flipped left to right": (lambda v: v[::-1], MM, {"flip-x"}),
    "two axes flipped": (lambda v: v[:, ::-1, ::-1], MM, {"flip-y", "flip-z"}),
    "axes permuted": (lambda v: v.transpose(2, 0, 1), MM, {"permute"}),
    "axes permuted, header lost": (lambda v: v.transpose(1, 2, 0), (1, 1, 1), {"permute"}),
    "header lost": (lambda v: v, (), set()),
    "cropped": (lambda v: v[8:, 5:-10, 22:], MM, {"crop"}),
    "resampled to 3 mm": (lambda v: zoomed(v, 2 / 3, 2 / 3, 2 / 3), (3, 3, 3), {"scale"}),
    "thick slices": (lambda v: zoomed(v, 1, 1, 0.5), (2, 2, 4), {"scale"}),
    "thick slices, header lost": (lambda v: zoomed(v, 1, 1, 0.5), (1, 1, 1), {"scale"}),
    "other numbers": (lambda v: v * 3.3 - 200, MM, set()),
    "uint8": (lambda v: np.clip(v / 950 * 255, 0, 255).astype(np.uint8).astype(np.float32), MM, set()),
    "gamma": (lambda v: 1000 * (v / 1000).clip(0) ** 0.8, MM, None),
    "one contrast of a 4D file": (lambda v: v[..., None], (*MM, 1.0), set()),
    "head turned by 8 degrees": (lambda v: rotated(v, 8), MM, {"moved"}),
    "skull set to zero": (lambda v: np.where(core(v), v, 0), MM, {"crop"}),
    "noise": (lambda v: v + np.random.default_rng(0).normal(0, 30, v.shape), MM, None),
}


@pytest.mark.parametrize("name", COPIES)
def test_an_altered_copy_is_the_same_image_and_the_alteration_is_named(name: str) -> None:
    alter, spacing, words = COPIES[name]
    altered = describe_volume(np.ascontiguousarray(alter(head(1)), dtype=np.float32), spacing)
    found = check_volumes(drawn(1), altered)
    assert found.same_image, found
    assert words is None or set(filter(None, found.transform.split("+"))) == words
    assert found.overlap > 0.9


def test_different_brains_are_not_the_same_image_even_in_one_and_the_same_skull() -> None:
    found = [check_volumes(drawn(a), drawn(b)) for a in range(4) for b in range(a)]
    assert not any(each.same_image for each in found)


def test_different_brains_are_not_the_same_image_where_the_skull_of_one_is_set_to_zero() -> None:
    stripped = describe_volume(np.where(core(head(1)), head(1), 0).astype(np.float32), MM)
    assert not check_volumes(drawn(2), stripped).same_image


def ball(volume: Floats, millimetres: float) -> np.ndarray:
    places = np.indices(volume.shape)
    return sum(((p - n / 2) * 2.0) ** 2 for p, n in zip(places, volume.shape, strict=True)) < millimetres**2


def part(volume: Floats, axis: int, half: int) -> np.ndarray:
    place, middle = np.indices(volume.shape)[axis], volume.shape[axis] // 2
    return place < middle if half == 0 else place >= middle


MASKS: dict[str, Callable[[Floats], np.ndarray]] = {
    "a ball of 60 mm": lambda v: ball(v, 60.0),
    "a ball of 45 mm": lambda v: ball(v, 45.0),
    "the lower half of the slices": lambda v: part(v, 2, 0),
    "the upper half of the slices": lambda v: part(v, 2, 1),
    "the right side": lambda v: part(v, 0, 1),
    "no face": lambda v: ~(part(v, 1, 1) & part(v, 2, 0)),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_volume_of_which_a_part_is_kept_agrees_inside_what_both_show(name: str) -> None:
    """Whatever of it was set to zero; another brain, and be it in the same skull, does not agree with it."""
    kept = describe_volume(np.where(MASKS[name](head(1)), head(1), 0).astype(np.float32), MM)
    found = check_volumes(drawn(1), kept)
    assert found.same_image, found
    assert found.overlap > 0.9
    assert not check_volumes(drawn(2), kept).same_image


def test_another_contrast_of_the_same_head_is_not_the_same_image() -> None:
    """Dark where the first is bright, inside the same skull."""
    volume = head(1)
    other = np.where(volume > 1, 1100 - volume, volume)
    assert not check_volumes(drawn(1), describe_volume(other, MM)).same_image


@pytest.mark.parametrize(
    "name", ["flipped left to right", "axes permuted, header lost", "cropped", "thick slices"]
)
def test_the_order_of_the_two_changes_nothing(name: str) -> None:
    alter, spacing, _ = COPIES[name]
    other = describe_volume(np.ascontiguousarray(alter(head(2))), spacing)
    forth, back = check_volumes(drawn(2), other), check_volumes(other, drawn(2))
    assert back.same_image == forth.same_image
    assert back.correlation == pytest.approx(forth.correlation, abs=1e-6)
    assert set(back.transform.split("+")) == set(forth.transform.split("+"))


@pytest.mark.parametrize("shape", [(40, 40, 40), (1, 1, 1), (64, 64, 1), (300, 2, 2), (2, 2, 2, 3)])
def test_blank_and_flat_volumes_match_nothing(shape: tuple[int, ...]) -> None:
    for value in (0.0, -1000.0):
        blank = describe_volume(np.full(shape, value, np.float32), MM)
        for other in (blank, drawn(1)):
            found = check_volumes(blank, other)
            assert not found.same_image
            assert math.isnan(found.correlation)


@pytest.mark.parametrize(
    "spacing", [(0.0, 2.0, 2.0), (-1.0, 1.0, 1.0), (0.001,) * 3, (900.0,) * 3, (2.0, 2.0)]
)
def test_senseless_spacings_are_no_obstacle(spacing: Spacing) -> None:
    assert check_volumes(drawn(1), describe_volume(head(1), spacing)).same_image


def test_not_finite_voxels_are_tolerated() -> None:
    volume = head(1)
    volume[:2] = np.nan
    volume[40, 40, 40] = np.inf
    assert check_volumes(drawn(1), describe_volume(volume, MM)).same_image


def test_features_are_small_and_cross_processes() -> None:
    sent = pickle.loads(pickle.dumps(drawn(1)))
    assert check_volumes(sent, drawn(1)).same_image
    assert len(pickle.dumps(drawn(1))) < 1_500_000
