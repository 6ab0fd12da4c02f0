"""What was found of planted leaks: scores add up, and the baseline finds what it can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.evaluation.baselines import phash_pairs
from leakscan.evaluation.planted_score import Share, score_planted
from leakscan.synthetic.planted import PlantedCopy, PlantedTruth, plant
from support.makers import DATA
from support.planted_films import LOSSLESS, draw_films


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> PlantedTruth:
    folder = tmp_path_factory.mktemp("planted")
    return plant(draw_films(folder), folder / "planted", copies=3, seed=5, only_b_share=0.2)


SMALL = PlantedTruth(
    Path("A"),
    Path("B"),
    (
        PlantedCopy("a1", "b1", "exact", "same_file"),
        PlantedCopy("a1", "b2", "mirror", "same_image"),
        PlantedCopy("a2", "b3", "resave_png", "same_pixels"),
        PlantedCopy("a3", "b4", "mirror", "same_image"),
    ),
    only_a=("a4",),
    only_b=("b5",),
)


def test_finding_everything_scores_one_without_false_pairs() -> None:
    result = score_planted(SMALL, [(c.path_a, c.path_b, c.relation) for c in SMALL.copies])
    assert result.overall.found == result.overall.as_expected == Share(4, 4)
    assert [r.name for r in result.by_alteration] == ["exact", "mirror", "resave_png"]
    assert [r.name for r in result.by_relation] == ["same_file", "same_pixels", "same_image"]
    assert result.false_pairs == ()


def test_a_weaker_relation_than_owed_is_found_but_not_as_expected() -> None:
    result = score_planted(SMALL, [("a1", "b1", "same_image"), ("a2", "b3", "same_pixels")])
    recalls = {r.name: (r.found, r.as_expected) for r in result.by_alteration}
    assert recalls["exact"] == (Share(1, 1), Share(0, 1))
    assert recalls["resave_png"] == (Share(1, 1), Share(1, 1))
    assert recalls["mirror"] == (Share(0, 2), Share(0, 2))


def test_only_an_image_relation_finds_a_copy_or_is_false() -> None:
    result = score_planted(SMALL, [("a1", "b2", "same_subject"), ("a4", "b5", "same_subject")])
    assert result.overall.found == Share(0, 4)
    assert result.false_pairs == ()


def test_pairs_of_different_films_are_false_and_copies_of_one_film_are_not() -> None:
    pairs = [("a4", "b1", "same_image"), ("a2", "b5", "same_pixels"), ("b1", "b2", "same_image")]
    assert score_planted(SMALL, pairs).false_pairs == (
        ("a2", "b5", "same_pixels"),
        ("a4", "b1", "same_image"),
    )


def test_a_pair_named_twice_or_backwards_counts_once_at_its_strongest() -> None:
    pairs = [("b3", "a2", "same_subject"), ("a2", "b3", "same_pixels"), ("b3", "a2", "same_image")]
    recalls = {r.name: r.as_expected for r in score_planted(SMALL, pairs).by_alteration}
    assert recalls["resave_png"] == Share(1, 1)
    assert len(score_planted(SMALL, [("a4", "b1", "same_image")] * 3).false_pairs) == 1


def test_wilson_intervals_are_the_published_ones() -> None:
    """Newcombe, Stat. Med. 17 (1998), table I: 81/263, 15/148, 0/20, 1/29."""
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611)}
    for (hits, total), bounds in published.items():
        assert Share(hits, total).interval == pytest.approx(bounds, abs=1e-4)
    assert Share(1, 29).interval == pytest.approx((0.0061, 0.1718), abs=1e-4)


@given(st.integers(1, 5000), st.data())
def test_an_interval_holds_its_rate_and_mirrors_its_complement(total: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, total))
    low, high = Share(hits, total).interval
    assert 0 <= low <= hits / total <= high <= 1
    assert Share(total - hits, total).interval == pytest.approx((1 - high, 1 - low))


def test_nothing_tried_tells_nothing() -> None:
    assert Share(0, 0).interval == (0.0, 1.0)
    assert np.isnan(Share(0, 0).rate)


def test_the_baseline_finds_lossless_copies_and_is_blind_to_mirrors_and_turns(truth: PlantedTruth) -> None:
    found = phash_pairs(truth.a, truth.b)
    recalls = {r.name: r.found.rate for r in score_planted(truth, found.pairs).by_alteration}
    assert found.unread == ()
    assert [recalls[name] for name in LOSSLESS] == [1.0] * len(LOSSLESS)
    assert recalls["turn_90"] == recalls["inversion"] == 0.0


def test_the_baseline_lists_what_it_could_not_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("no picture")
        (tmp_path / name / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM")
    found = phash_pairs(tmp_path / "a", tmp_path / "b")
    assert found.pairs == ()
    assert len(found.unread) == 4


@pytest.mark.real
def test_real_films_are_planted_and_the_baseline_finds_every_exact_copy(tmp_path: Path) -> None:
    root = DATA
    films = sorted((root / "cxr" / "ozturk_covid").rglob("*.jp*g"))[:24]
    if len(films) < 24:
        pytest.skip(f"no real films in {root}")
    truth = plant(films, tmp_path / "planted", copies=4, seed=0)
    recalls = {r.name: r for r in score_planted(truth, phash_pairs(truth.a, truth.b).pairs).by_alteration}
    assert recalls["exact"].found == recalls["png_16bit"].found == Share(4, 4)
