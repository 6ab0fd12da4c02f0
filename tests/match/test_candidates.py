"""Which pairs are candidates: all that are near by fingerprint or by hash, none twice, either way round."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.fingerprint.hashing import hamming, perceptual_hashes
from leakscan.match.candidates import (
    NEAREST,
    Candidates,
    Wanted,
    equal_pixels,
    find_candidates,
    nearest_pictures,
    scores,
)
from leakscan.match.pictures import Side, distinct_pictures
from support.makers import store_rows, unit_vectors

ENCODER = "made-up@1"
MANY = 100_000


def side(vectors: npt.NDArray[np.float32], seed: int, **columns: Any) -> Side:
    """Pictures with these fingerprints and hashes that no others have."""
    hashes = np.random.default_rng([9, seed]).integers(0, 1 << 63, (len(vectors), 8), dtype=np.uint64)
    images = [
        {"fingerprint": v, "pixel_hash": f"px1:{seed}-{i}", "phash": h.tolist(), **columns}
        for i, (v, h) in enumerate(zip(vectors, hashes, strict=True))
    ]
    return distinct_pictures(store_rows(images))


def found(candidates: Candidates) -> dict[tuple[int, int], tuple[float, float]]:
    assert len(set(zip(candidates.a.tolist(), candidates.b.tolist(), strict=True))) == len(candidates.a)
    values = zip(candidates.score.tolist(), candidates.bits.tolist(), strict=True)
    return dict(zip(zip(candidates.a.tolist(), candidates.b.tolist(), strict=True), values, strict=True))


def brute_force(a: Side, b: Side, threshold: float, radius: int) -> set[tuple[int, int]]:
    product = a.fingerprints[ENCODER] @ b.fingerprints[ENCODER].T
    near = product >= threshold
    for line, best in zip(near, np.argsort(-product, axis=1)[:, :NEAREST], strict=True):
        line[best] = True
    for line, best in zip(near.T, np.argsort(-product.T, axis=1)[:, :NEAREST], strict=True):
        line[best] = True
    bits = np.array([[hamming(one, other[:1]).min() for other in b.phash] for one in a.phash])
    return set(zip(*map(list, np.nonzero(near | (bits <= radius))), strict=True))


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(1, 15), st.integers(1, 15))
def test_candidates_are_those_of_a_double_loop(seed: int, n: int, m: int) -> None:
    a, b = side(unit_vectors(seed, n), 2 * seed), side(unit_vectors(seed + 100, m), 2 * seed + 1)
    candidates = find_candidates(a, b, Wanted({ENCODER: 0.1}, 14, MANY))
    assert set(found(candidates)) == brute_force(a, b, 0.1, 14)
    assert candidates.comparisons == {ENCODER: n * m}
    assert (candidates.cut, np.isnan(candidates.cut_score)) == (0, True)


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(1, 15), st.integers(1, 15))
def test_swapping_the_sides_swaps_the_pairs_and_no_bit_of_a_score(seed: int, n: int, m: int) -> None:
    a, b = side(unit_vectors(seed, n), 2 * seed), side(unit_vectors(seed + 100, m), 2 * seed + 1)
    one = found(find_candidates(a, b, Wanted({ENCODER: 0.1}, 8, MANY)))
    two = found(find_candidates(b, a, Wanted({ENCODER: 0.1}, 8, MANY)))
    assert {(j, i): s[0] for (i, j), s in two.items()} == {pair: s[0] for pair, s in one.items()}


def test_the_nearest_of_both_sides_are_candidates_however_far() -> None:
    """One crowd on side A must not hide the lone picture whose best partner is taken by others."""
    crowd = np.zeros((10, 128), np.float32)
    crowd[:, 0] = 1
    crowd[0] = 0
    crowd[0, 5] = 1
    a, b = side(crowd, 1), side(unit_vectors(1, 1), 2)
    candidates = find_candidates(a, b, Wanted({ENCODER: 2.0}, 0, MANY))
    assert {i for i, _ in found(candidates)} == set(range(10))
    swapped = find_candidates(b, a, Wanted({ENCODER: 2.0}, 0, MANY))
    assert {j for _, j in found(swapped)} == set(range(10))


def test_candidates_come_best_first() -> None:
    a, b = side(unit_vectors(3, 12), 1), side(unit_vectors(4, 12), 2)
    score = find_candidates(a, b, Wanted({ENCODER: 0.0}, 8, MANY)).score
    assert (np.diff(score) <= 0).all()


def test_a_limit_cuts_the_farthest_and_is_counted() -> None:
    a, b = side(unit_vectors(5, 20), 1), side(unit_vectors(6, 20), 2)
    over = (a.fingerprints[ENCODER] @ b.fingerprints[ENCODER].T) >= 0.0
    candidates = find_candidates(a, b, Wanted({ENCODER: 0.0}, 0, 30))
    assert candidates.cut == over.sum() - 30
    kept = np.sort((a.fingerprints[ENCODER] @ b.fingerprints[ENCODER].T).ravel())[::-1][29]
    assert candidates.cut_score == pytest.approx(kept, abs=1e-5)


def test_fingerprints_of_different_encoders_are_not_compared() -> None:
    vectors = unit_vectors(7, 3)
    a = side(vectors, 1)
    b = distinct_pictures(
        store_rows([{"fingerprint": v, "pixel_hash": f"b{i}"} for i, v in enumerate(vectors)], "another@2")
    )
    candidates = find_candidates(a, b, Wanted({ENCODER: -1.0, "another@2": -1.0}, 0, MANY))
    assert found(candidates) == {}
    assert candidates.comparisons == {ENCODER: 0, "another@2": 0}
    assert np.isnan(scores(a, b, np.array([0]), np.array([0]))).all()


def test_pictures_and_volumes_never_meet_by_their_hashes() -> None:
    phash = [7] * 8
    flat = distinct_pictures(store_rows([{"phash": phash, "pixel_hash": "x", "kind": "other_2d"}]))
    deep = distinct_pictures(store_rows([{"phash": phash, "pixel_hash": "y", "kind": "other_3d"}]))
    assert found(find_candidates(flat, deep, Wanted({}, 8, MANY))) == {}
    assert found(find_candidates(flat, flat, Wanted({}, 8, MANY))).keys() == {(0, 0)}


def test_a_volume_that_no_encoder_takes_is_met_with_its_axes_in_any_order() -> None:
    """Its header lost what its axes are; the original has a fingerprint, so that it is found by its hash."""
    rng = np.random.default_rng(4)
    volumes = [rng.random((12, 15, 13)).astype(np.float32) for _ in range(12)]
    known = [
        {"fingerprint": v, "kind": "brain_mri", "pixel_hash": f"a{i}", "phash": perceptual_hashes(x).tolist()}
        for i, (v, x) in enumerate(zip(unit_vectors(1, 12), volumes, strict=True))
    ]
    turned = perceptual_hashes(volumes[7].transpose(1, 2, 0)[:, ::-1])
    mute = distinct_pictures(
        store_rows([{"kind": "other_3d", "pixel_hash": "b", "phash": turned.tolist(), "encoder": None}])
    )
    near = found(find_candidates(distinct_pictures(store_rows(known)), mute, Wanted({}, 0, MANY)))
    assert min(near, key=lambda pair: near[pair][1]) == (7, 0)
    assert near[7, 0][1] <= 1


def test_nearest_of_many_sides_are_counted_once_not_for_every_side() -> None:
    """An audit of a thousand small splits must not compare every pair of pictures."""
    sides = [side(unit_vectors(seed, 1), seed) for seed in range(30)]
    near = nearest_pictures(sides)
    assert len(near) == 30 * 29 / 2
    pairs = sum(len(some.a) for some in near.values())
    assert 30 * NEAREST / 2 <= pairs <= 30 * NEAREST
    prints = np.concatenate([s.fingerprints[ENCODER] for s in sides])
    product = prints @ prints.T - 9 * np.eye(30)
    for own, best in enumerate(np.argsort(-product, axis=1)[:, :NEAREST]):
        pairs_of_sides = [near[min(own, other), max(own, other)] for other in best.tolist()]
        assert all((pair.a.tolist(), pair.b.tolist()) == ([0], [0]) for pair in pairs_of_sides)


def test_equal_pixels_are_one_picture_with_many_rows() -> None:
    rows = store_rows([{"pixel_hash": h} for h in ("p", "q", "p", "r", "p")])
    collapsed = distinct_pictures(rows)
    assert len(collapsed) == 3
    assert [part.tolist() for part in np.split(collapsed.image_rows, collapsed.starts[1:-1])] == [
        [0, 2, 4],
        [1],
        [3],
    ]
    assert collapsed.counts.tolist() == [3, 1, 1]
    assert collapsed.rows.tolist() == [0, 1, 3]
    other = distinct_pictures(store_rows([{"pixel_hash": h} for h in ("r", "s", "p")]))
    pairs = set(zip(*(x.tolist() for x in equal_pixels(collapsed, other)), strict=True))
    assert pairs == {(0, 2), (2, 0)}


@pytest.mark.parametrize("status", ["blank", "unreadable", "unsupported", "ignored"])
def test_only_images_that_were_read_take_part(status: str) -> None:
    images = [{"status": status, "pixel_hash": None, "phash": None}, {"pixel_hash": "p"}]
    assert distinct_pictures(store_rows(images)).rows.tolist() == [1]
    nobody = distinct_pictures(store_rows(images[:1]))
    assert len(nobody) == 0
    somebody = side(unit_vectors(1, 2), 1)
    for one, other in ((nobody, somebody), (somebody, nobody), (nobody, nobody)):
        candidates = find_candidates(one, other, Wanted({ENCODER: -1.0}, 63, MANY))
        assert found(candidates) == {}
        assert candidates.comparisons == {ENCODER: 0}


def test_a_source_without_any_row_is_no_trouble() -> None:
    assert len(distinct_pictures(store_rows([]))) == 0


def test_fingerprints_are_those_that_the_store_keeps() -> None:
    """Both sides pass through float16, whether they come from a file or straight from the encoder."""
    vectors = unit_vectors(8, 3)
    assert (side(vectors, 1).fingerprints[ENCODER] == vectors.astype(np.float16).astype(np.float32)).all()


def test_encoders_of_different_length_live_in_one_dataset() -> None:
    """A folder may hold films and volumes; their fingerprints need not be equally long."""
    films, brains = unit_vectors(8, 4), unit_vectors(9, 3, 300)
    rows = [{"fingerprint": v, "encoder": ENCODER, "pixel_hash": f"f{i}"} for i, v in enumerate(films)]
    rows += [{"fingerprint": v, "encoder": "brain@1", "pixel_hash": f"b{i}"} for i, v in enumerate(brains)]
    rows.insert(2, {"pixel_hash": "mute"})
    both = distinct_pictures(store_rows(rows))
    assert {name: prints.shape for name, prints in both.fingerprints.items()} == {
        ENCODER: (4, 128),
        "brain@1": (3, 300),
    }
    candidates = find_candidates(both, both, Wanted({ENCODER: 0.9, "brain@1": 0.9}, 0, MANY))
    assert candidates.comparisons == {ENCODER: 16, "brain@1": 9}
    own = {i: s[0] for (i, j), s in found(candidates).items() if i == j}
    assert {i for i, s in own.items() if s == pytest.approx(1, abs=1e-3)} == {0, 1, 3, 4, 5, 6, 7}
    assert np.isnan(own.get(2, np.nan))
