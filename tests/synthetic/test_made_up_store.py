"""Made-up films are as alike as real ones, and the stores share what they are said to share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.hashing import film_orientations, hamming, hash_signs, perceptual_hashes
from leakscan.fingerprint.store import Store
from leakscan.match.pictures import Side, distinct_pictures
from leakscan.synthetic.film_statistics import FILE, FilmStatistics
from leakscan.synthetic.made_up_store import MadeUpStores, draw_stores

ENCODER = "made-up@1"


def drawn(folder: Path, films: int = 2000, seed: int = 0) -> tuple[MadeUpStores, Side, Side]:
    stores = draw_stores(folder, films, ENCODER, shared=200, copies=50, seed=seed)
    a, b = (distinct_pictures(Store.open(at).load()) for at in (stores.a, stores.b))
    return stores, a, b


def test_strangers_are_as_alike_as_real_ones(tmp_path: Path) -> None:
    """The encoder's card says how alike real strangers are."""
    _, a, b = drawn(tmp_path)
    similarity = (a.fingerprints[ENCODER] @ b.fingerprints[ENCODER][500:].T).ravel()
    entry = card_for("chest_radiograph")
    assert entry is not None
    card = entry[0].impostors
    for rate in (1e-1, 1e-2, 1e-3):
        real = float(np.interp(np.log(rate), np.log(card.fmr[::-1]), card.score[::-1]))
        assert abs(np.quantile(similarity, 1 - rate) - real) < 0.08, rate


def test_shared_people_are_alike_and_turned_copies_have_near_hashes(tmp_path: Path) -> None:
    stores, a, b = drawn(tmp_path)
    at_a, at_b = stores.people.T
    similarity = (a.fingerprints[ENCODER][at_a] * b.fingerprints[ENCODER][at_b]).sum(axis=1)
    assert 0.6 < np.median(similarity) < 0.9
    at_a, at_b = stores.copies.T
    bits = [hamming(one, other[:1]).min() for one, other in zip(a.phash[at_a], b.phash[at_b], strict=True)]
    assert np.mean(bits) < 3
    upright = [
        hamming(one[:1], other[:1]).min() for one, other in zip(a.phash[at_a], b.phash[at_b], strict=True)
    ]
    assert np.mean(upright) > 8  # only another orientation is near


def test_one_seed_draws_the_same_stores_and_another_does_not(tmp_path: Path) -> None:
    one, same, other = (drawn(tmp_path / str(n), 300, seed)[1] for n, seed in enumerate((1, 1, 2)))
    assert (one.phash == same.phash).all() and (one.stored[ENCODER] == same.stored[ENCODER]).all()
    assert not (one.phash == other.phash).all()


def test_the_statistics_are_a_few_kilobytes() -> None:
    assert FILE.stat().st_size < 16_000


def test_statistics_of_films_are_those_that_drew_them(tmp_path: Path) -> None:
    _, a, _ = drawn(tmp_path, 3000)
    codes = np.unique(np.array(a.subjects, str), return_inverse=True)[1]
    again = FilmStatistics.of(a.stored[ENCODER], codes, a.phash[:, 0])
    real = FilmStatistics.read()
    assert np.corrcoef(again.threshold, real.threshold)[0, 1] > 0.99
    assert abs(float((again.between.rest**2).sum() / (real.between.rest**2).sum()) - 1) < 0.5


def test_orientations_from_bits_are_those_from_pixels() -> None:
    films = np.random.default_rng(0).random((5, 40, 60), np.float32)
    hashes = np.stack([perceptual_hashes(film) for film in films])
    assert (film_orientations(hash_signs(hashes[:, 0])) == hashes).all()
