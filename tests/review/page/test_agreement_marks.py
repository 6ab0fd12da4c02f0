"""Where two images agree: places of films, parts of volumes, and nothing for the blind."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from leakscan.review.page.agreement_marks import FilmPlaces, agreeing_parts
from leakscan.review.page.pictures import unpack
from leakscan.synthetic.heads import draw_brain
from support.makers import Picture
from support.review_page import Open, Reader
from support.review_run import volumes_run


def test_places_that_agree_lie_at_the_same_anatomy(films: list[Picture]) -> None:
    film = films[0].astype(np.float32)
    framed = np.pad(film, ((30, 10), (60, 20)))  # as a scanner's lid leaves it
    found = FilmPlaces(None)(film, framed)
    assert len(found) > 40
    off = found[:, 2:4] - found[:, :2] - (60, 30)
    assert np.abs(np.median(off, axis=0)).max() < 4
    assert np.abs(off).max() < 40  # a place is a twelfth of the film
    assert found[:, 4].min() >= 0.9
    others = FilmPlaces(None)(film, films[1].astype(np.float32))
    assert len(others) < len(found)


def test_the_black_beside_a_body_is_no_place_that_agrees(films: list[Picture]) -> None:
    noise = np.random.default_rng(0)
    framed = [np.pad(f.astype(np.float32), ((0, 0), (90, 90))) + noise.random((1, 1)) for f in films[:2]]
    framed = [f + noise.random(f.shape, np.float32) for f in framed]  # as a detector's noise
    found = FilmPlaces(None)(framed[0], framed[0])
    assert len(found) > 20
    assert found[:, 0].min() > 80
    assert found[:, 0].max() < framed[0].shape[1] - 80


def test_parts_of_volumes_agree_where_they_are_alike() -> None:
    head = draw_brain(np.random.default_rng(0), (40, 48, 40), 4.0).astype(np.float32)
    other = head.copy()
    other[20:] = draw_brain(np.random.default_rng(1), (40, 48, 40), 4.0)[20:]
    found = agreeing_parts(head, other)
    inside = found[2:11, 4:12, 4:10]
    assert inside[:4].mean() > 0.95
    assert inside[-4:].mean() < inside[:4].mean() - 0.2


def test_a_page_asks_for_them(reader: Reader) -> None:
    line = reader.titled("bob.png")
    found = reader.get(f"/api/places/{line['key']}/{line['a']}/{line['b']}")
    assert found["sought"]
    assert all(len(place) == 5 for place in found["places"])
    assert reader.get(f"/api/places/{line['key']}/{line['b']}/{line['a']}", 404)["error"]
    assert reader.client.get(f"/api/parts/{line['key']}/{line['a']}/{line['b']}").status_code == 410  # films


def test_volumes_have_parts_that_agree(open_review: Open, tmp_path: Path) -> None:
    reader = Reader(open_review(volumes_run(tmp_path)))
    line = reader.titled("one.nii.gz")
    answer = reader.client.get(f"/api/parts/{line['key']}/{line['a']}/{line['b']}")
    assert answer.status_code == 200
    header, levels = unpack(zlib.compress(answer.content))
    agree = header["low"] + header["per_level"] * levels
    assert agree[6:11, 6:11, 6:9].mean() > 0.8


def test_who_is_blind_is_not_told_where_they_agree(open_review: Open) -> None:
    reader = Reader(open_review(blind=True))
    line = reader.lines()[0]
    where = f"{line['key']}/{line['a']}/{line['b']}"
    assert reader.get(f"/api/places/{where}") == {"sought": False, "places": []}
    assert reader.client.get(f"/api/parts/{where}").status_code == 403
    reader.say(line["key"], "same")
    assert reader.get(f"/api/places/{where}")["sought"]
