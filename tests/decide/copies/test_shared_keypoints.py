"""Pictures that no encoder serves find their copies by keypoints, where one hash says nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leakscan.decide.copies.shared_keypoints import KeypointSide, shared_keypoints
from leakscan.fingerprint.keypoints import find_keypoints
from leakscan.match.index.keypoints import KeypointIndex
from support.makers import Leakscan, Picture, rows_of

NO_ENCODER = ("--kind", "other_2d")


def scene(seed: int) -> Picture:
    """A picture like no other, of no body part."""
    chance = np.random.default_rng([11, seed])
    rough = cv2.resize(chance.random((9, 9), np.float32), (220, 180), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(chance.random((45, 55), np.float32), (220, 180), interpolation=cv2.INTER_CUBIC)
    return np.clip((0.6 * rough + 0.4 * fine) * 255, 0, 255).astype(np.uint8)


def framed(picture: Picture) -> Picture:
    out = np.full((260, 320), 128, np.uint8)
    out[40:220, 50:270] = picture
    return out


def shifted(picture: Picture) -> Picture:
    return np.pad(picture, ((30, 0), (35, 0)), mode="reflect")[:180, :220]


@pytest.mark.parametrize("change", [framed, shifted])
def test_a_framed_or_shifted_picture_is_found_among_forty_others(
    leakscan: Leakscan, tmp_path: Path, change: object
) -> None:
    for name, seeds in (("A", range(40)), ("B", range(100, 140))):
        (tmp_path / name).mkdir()
        for seed in seeds:
            Image.fromarray(scene(seed)).save(tmp_path / name / f"{seed}.png")
    Image.fromarray(change(scene(7))).save(tmp_path / "B" / "copy.png")  # type: ignore[operator]
    ran = leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    found = [(r["path_a"], r["path_b"], r["relation"]) for r in rows_of(tmp_path / "run", "pairs")]
    assert (ran.code, found) == (1, [("7.png", "copy.png", "same_image")])


def test_pictures_are_found_by_either_end_and_never_in_their_own_dataset() -> None:
    kept = [find_keypoints(scene(seed).astype(np.float32)).to_bytes() for seed in range(12)]
    mirrored = find_keypoints(scene(3)[:, ::-1].astype(np.float32)).to_bytes()
    silent, encoded = np.ones(12, bool), np.zeros(2, bool)
    sides = [KeypointSide(kept, silent), KeypointSide([mirrored, kept[5]], encoded)]
    a, b = shared_keypoints(sides)[0, 1]
    assert {(3, 0), (5, 1)} <= set(zip(a.tolist(), b.tolist(), strict=True))
    assert shared_keypoints(sides[:1]) == {}
    both = [KeypointSide(kept, np.zeros(12, bool)), sides[1]]
    assert shared_keypoints(both) == {}  # fingerprints serve them all


def test_no_pictures_find_nothing() -> None:
    assert len(KeypointIndex([]).nearest([], 3).query) == 0
    assert len(KeypointIndex([b""]).nearest([b""], 3).query) == 0


@pytest.mark.parametrize("change", [framed, shifted])
def test_duplicates_inside_one_source_are_found_by_keypoints_as_well(
    leakscan: Leakscan, tmp_path: Path, change: Callable[[Picture], Picture]
) -> None:
    for seed in range(20):
        Image.fromarray(scene(seed)).save(tmp_path / f"{seed:02d}.png")
    Image.fromarray(change(scene(7))).save(tmp_path / "07-again.png")
    ran = leakscan("duplicates", str(tmp_path), "-o", "run", "--workers", "0", *NO_ENCODER)
    assert ran.code == 1, ran.err
    (pair,) = rows_of(Path("run"), "pairs")
    assert {pair["path_a"], pair["path_b"]} == {"07.png", "07-again.png"}
    assert pair["relation"] == "same_image"
