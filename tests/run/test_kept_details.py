"""A store with details stands in for its films where people are told apart, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from leakscan.decide.columns import Columns
from leakscan.decide.persons.detail_matches import DetailMatching, FilmSide
from leakscan.fingerprint.encoders.film.detail_grid import DETAIL_DIM, Details
from leakscan.fingerprint.encoders.film.detail_matcher import FilmDetailMatcher
from leakscan.fingerprint.encoders.film.detail_shelf import DetailShelf
from leakscan.fingerprint.encoders.film.kept_details import from_bytes, kept_by, to_bytes
from leakscan.fingerprint.pipeline import Dataset, fingerprint_source
from leakscan.fingerprint.store import Store
from leakscan.match.pictures import distinct_pictures
from leakscan.run.context import RunContext
from leakscan.settings import Settings
from leakscan.sources.open import open_source
from support import drawn_subjects
from support.makers import Leakscan, save

PEOPLE = 3
BYTES_ASIDE = 13 + 2 * 196 * DETAIL_DIM  # of a film, by two networks
CHEST = ("--kind", "chest_radiograph")


@pytest.fixture
def films(tmp_path: Path) -> list[str]:
    """Two folders with another film of the same people."""
    for subject in range(PEOPLE):
        save(tmp_path / "A" / f"{subject}.png", drawn_subjects.film(subject).astype(np.uint8))
        save(tmp_path / "B" / f"{subject}.png", drawn_subjects.second_film(subject, 1).astype(np.uint8))
    return ["A", "B"]


def columns_of(dataset: Dataset) -> Columns:
    return Columns(dataset, distinct_pictures(dataset.rows))


def test_kept_details_match_as_the_films_do(leakscan: Leakscan, tmp_path: Path, films: list[str]) -> None:
    for name in films:
        ran = leakscan("fingerprint", name, "-o", f"{name}.fps", "--with-details", "--json", *CHEST)
        assert (ran.code, ran.json["fingerprints"]) == (0, PEOPLE), ran.err
    settings = Settings.of(kind="chest_radiograph", cache=tmp_path / "cache")
    context = RunContext.open(settings)
    (encoder, matcher), *_ = context.models.matchers.items()
    matching = DetailMatching(matcher, encoder, context)
    at = np.arange(PEOPLE).repeat(PEOPLE), np.tile(np.arange(PEOPLE), PEOPLE)
    found = []
    for kept in (True, False):
        datasets = [
            Dataset(name, Store.open(tmp_path / f"{name}.fps").load(), {}, {}, "k")
            if kept
            else fingerprint_source(open_source(str(tmp_path / name), settings.reading), None, context)
            for name in films
        ]
        one, other = (columns_of(dataset) for dataset in datasets)
        assert FilmSide.of(one, matcher.digest).readable.all()
        order = [
            np.argsort(side.dataset.rows["path"].take(pa.array(side.side.rows))) for side in (one, other)
        ]
        found.append(matching.of(one, other, order[0][at[0]], order[1][at[1]]))
    assert np.ptp(found[1]) > 1.0
    np.testing.assert_array_equal(*found)


def test_only_films_without_details_are_read_for_them(
    leakscan: Leakscan, tmp_path: Path, films: list[str]
) -> None:
    def read(*more: str) -> int:
        ran = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *CHEST, *more)
        assert ran.code == 0, ran.err
        return int(ran.json["images_read"])

    assert [read(), read("--with-details"), read("--with-details"), read()] == [PEOPLE, PEOPLE, 0, 0]
    assert Store.open(tmp_path / "a.fps").load()["details"].null_count == PEOPLE  # they were not asked for


def test_details_under_a_project_key_are_refused(leakscan: Leakscan, films: list[str]) -> None:
    Path("p.key").write_bytes(bytes(range(32)))
    ran = leakscan("fingerprint", "A", "-o", "a.fps", "--with-details", "--project-key", "p.key")
    assert ran.code == 2
    assert "Leave out --with-details, or --project-key." in ran.err


def test_details_that_were_put_aside_are_not_read_again_and_change_nothing(
    tmp_path: Path, films: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The networks go on from what the encoder made of a film, in the very run that reads it."""
    described: list[int] = []
    plain = FilmDetailMatcher.describe

    def describe(self: FilmDetailMatcher, canonical: npt.NDArray[np.uint8]) -> Details:
        described.append(len(canonical))
        return plain(self, canonical)

    monkeypatch.setattr(FilmDetailMatcher, "describe", describe)
    found = []
    for room in (10**9, 40_000, 0):
        settings = Settings.of(kind="chest_radiograph", cache=tmp_path / f"cache-{room}", workers=0)
        context = RunContext.open(settings)
        context.__dict__["shelf"] = DetailShelf(tmp_path, room)
        one, other = (
            columns_of(fingerprint_source(open_source(str(tmp_path / n), settings.reading), None, context))
            for n in films
        )
        (encoder, matcher), *_ = context.models.matchers.items()
        _ = matcher.opened
        described.clear()  # the probe, as the networks were opened
        at = np.arange(PEOPLE)
        found.append(DetailMatching(matcher, encoder, context).of(one, other, at, at))
        assert sum(described) == 2 * PEOPLE - min(room // BYTES_ASIDE, 2 * PEOPLE)
    assert np.isfinite(found[0]).all()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_shelf_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    shelf = DetailShelf(tmp_path / "no folder")
    shelf.put("a film", to_bytes(np.ones((1, 196, DETAIL_DIM), np.int8), "0123456789ab"))
    assert shelf.get("a film", "0123456789ab") is None


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: raw[:13], lambda raw: b"1" + raw[1:]])
def test_damaged_details_match_nothing(damage: object) -> None:
    details = np.ones((2, 196, DETAIL_DIM), np.int8)
    raw = to_bytes(details, "0123456789ab")
    assert from_bytes(raw, "0123456789ab") is not None
    assert from_bytes(damage(raw), "0123456789ab") is None  # type: ignore[operator]
    assert from_bytes(raw, "ba9876543210") is None


def test_details_of_other_networks_do_not_count() -> None:
    raw = to_bytes(np.ones((1, 196, DETAIL_DIM), np.int8), "0123456789ab")
    column = pa.chunked_array([pa.array([raw, None, b""], pa.binary())])
    assert kept_by(column, "0123456789ab").tolist() == [True, False, False]
    assert not kept_by(column, "ba9876543210").any()
