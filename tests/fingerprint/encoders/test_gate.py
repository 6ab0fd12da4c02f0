"""A gate that a card brings along judges by the features of the network and changes no fingerprint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from leakscan.fingerprint.encoders.encoder import GraphEncoder
from leakscan.fingerprint.encoders.registry import cards
from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.research.intensive_care import intensive_care
from leakscan.synthetic.films import draw_film


def test_the_gate_of_the_card_counts_and_leaves_fingerprints_alone() -> None:
    card, folder = cards()["cxr-lite0"]
    assert card.gate, "the shipped one brings one along"
    films = card.golden_inputs()[:2]
    own = GraphEncoder(card, folder).encode(films)
    before = GraphEncoder(replace(card, gate={}), folder).encode(films)
    assert np.array_equal(own.fingerprints, before.fingerprints)
    assert np.abs(own.quality - before.quality).min() > 0.01
    assert np.allclose(own.quality, TorchEncoder(card, folder).encode(films).quality, atol=0.05)


def test_films_of_intensive_care_pass_and_turned_halves_do_not() -> None:
    card, folder = cards()["cxr-lite0"]
    encoder = GraphEncoder(card, folder)
    films = [draw_film(np.random.default_rng(seed)).astype(np.float32) for seed in range(6)]
    ill = [intensive_care(film, np.random.default_rng(seed)) for seed, film in enumerate(films)]
    halves = [np.rot90(film[:, : film.shape[1] // 2]) for film in films]
    kept, refused = (
        encoder.encode(np.stack([canonical_film(one, card.side) for one in some])).accepted
        for some in (ill, halves)
    )
    assert kept.mean() >= 5 / 6
    assert refused.mean() <= 1 / 6


def canonical_film(values: np.ndarray, side: int) -> np.ndarray:
    return np.rint(canonical_radiograph(np.ascontiguousarray(values), side) * 255).astype(np.uint8)
