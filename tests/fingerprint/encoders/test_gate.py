"""A gate that a card brings along judges by the features of the network and changes no fingerprint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from leakscan import tables
from leakscan.fingerprint.encoders.encoder import GraphEncoder
from leakscan.fingerprint.encoders.registry import cards
from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder
from leakscan.fingerprint.kinds import Asked
from leakscan.fingerprint.known_rows import KnownRows
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.research.intensive_care import intensive_care
from leakscan.synthetic.films import draw_film
from leakscan.types import ImageRef


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


def test_what_an_older_gate_refused_is_read_again() -> None:
    card, _ = cards()["cxr-lite0"]
    older = replace(card, gate={"weight": [[0.0]], "bias": [-9.0]})
    film = ImageRef(image_id="1", path="a.png", format="png", files=("/a.png",), signature="s")
    refused, now = (Asked.of(film, None, {"chest_radiograph": one}) for one in (older, card))
    row = {"image_id": "1", "signature": "s", "status": "ok", "encoded_by": refused.by, "gate": False}
    known = KnownRows(tables.from_rows([row], tables.STORE))
    assert known.place(film, refused) == 0
    assert known.place(film, now) is None
