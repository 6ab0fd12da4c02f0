"""Verdicts on pairs are labels for a calibration, beside declared subjects."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from leakscan.errors import UsageError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.review.verdicts import Verdict, VerdictFile
from leakscan.run.verdict_labels import ENOUGH_REPEATED, labelled_by
from leakscan.synthetic.films import draw_film
from support.makers import Leakscan, rows_of, save, store_rows


def dataset(name: str, *images: tuple[str, str | None]) -> Dataset:
    """A dataset of pictures and their subjects."""
    rows = store_rows([{"pixel_hash": picture, "subject": subject} for picture, subject in images])
    return Dataset(name, rows, {}, {}, "key")


def said(word: Any, a: str, b: str, by: str = "ann") -> Verdict:
    return Verdict(by=by, verdict=word, scope="pair", pictures_a=(a,), pictures_b=(b,))


def people(labelled: Any) -> dict[str, str | None]:
    rows = labelled.dataset.rows
    return dict(zip(rows["pixel_hash"].to_pylist(), rows["subject"].to_pylist(), strict=True))


def test_same_joins_two_people_and_different_makes_two_of_undeclared_pictures() -> None:
    a = dataset("A", ("p1", "S1"), ("p2", "S2"), ("p3", None), ("p9", None))
    b = dataset("B", ("q1", "S1"), ("q2", None), ("q3", None))
    found = labelled_by([a, b], [said("same", "p1", "q2"), said("different", "p3", "q3")])
    who = people(found)
    assert who["p1"] == who["q2"] is not None
    assert who["p9"] is None, "nobody said anything of it"
    assert len({who[p] for p in ("p1", "p2", "p3", "q1", "q3")}) == 5, "S1 of A is not S1 of B"
    assert (found.people, found.by_verdicts) == (5, 2)
    assert found.counts == {"same": 1, "different": 1, "unclear": 0, "stale": 0}


def test_people_of_whom_nobody_is_sure_are_left_out() -> None:
    a = dataset("A", *((f"p{i}", f"S{i}") for i in range(6)))
    found = labelled_by(
        [a],
        [
            said("unsure", "p0", "p1"),
            said("same", "p2", "p3"),
            said("different", "p2", "p3", by="bob"),
            said("same", "p4", "p5"),
        ],
    )
    who = people(found)
    assert who["p0"] is who["p1"] is who["p2"] is who["p3"] is None
    assert who["p4"] == who["p5"] is not None
    assert found.counts["unclear"] == 2


def test_one_and_two_people_at_once_are_left_out() -> None:
    a = dataset("A", ("p1", None), ("p2", None), ("p3", None))
    chain = [said("same", "p1", "p2"), said("same", "p2", "p3"), said("different", "p1", "p3")]
    assert set(people(labelled_by([a], chain)).values()) == {None}


def test_pairs_that_a_search_found_do_not_make_the_missed_share_small() -> None:
    """Where declared subjects tell it, only they do; else a warning says what it is worth."""
    twice = [(f"p{i}-{k}", f"S{i}") for i, k in itertools.product(range(ENOUGH_REPEATED), range(2))]
    found = labelled_by([dataset("A", *twice, ("q", "T"))], [said("same", "p0-0", "q")])
    who = people(found)
    assert who["q"] is None and who["p0-0"] == who["p0-1"] is not None
    assert not found.warnings
    few = labelled_by([dataset("A", ("p", "S"), ("q", "T"))], [said("same", "p", "q")])
    assert "more are missed" in few.warnings[0]


def test_verdicts_on_other_pictures_are_refused_and_counted() -> None:
    a = dataset("A", ("p1", "S1"))
    with pytest.raises(UsageError, match="None of the 1 verdict"):
        labelled_by([a], [said("same", "x", "y")])


def test_calibrate_uses_verdicts_and_says_how_many_there_must_be(leakscan: Leakscan, tmp_path: Path) -> None:
    for i in range(44):
        film = cv2.resize(draw_film(np.random.default_rng(i), height=160), (120, 120))
        save(tmp_path / ("A" if i % 2 else "B") / f"{i:02d}.png", film)
    leakscan("compare", "A", "B", "-o", "run", "--kind", "chest_radiograph")
    pixels = {(row["dataset"], row["path"]): row["pixel_hash"] for row in rows_of(tmp_path / "run", "images")}
    pairs = [
        said("different", pixels["B", f"{i:02d}.png"], pixels["A", f"{i + 1:02d}.png"])
        for i in range(0, 44, 2)
    ]
    arguments = ("A", "B", "--kind", "chest_radiograph", "--workers", "0", "-o", "mine.safetensors")
    several = leakscan("calibrate", *arguments)
    assert several.code == 2 and "--verdicts" in several.error
    verdicts = VerdictFile(tmp_path / "verdicts.parquet")
    verdicts.append(pairs[:17])
    few = leakscan("calibrate", *arguments, "--verdicts", "verdicts.parquet")
    assert few.code == 2
    assert "17 verdicts" in few.error and "34 people" in few.error and "at least 3 more" in few.error
    assert not Path("mine.safetensors").exists()
    verdicts.append(pairs[17:])
    enough = leakscan("calibrate", *arguments, "--verdicts", "verdicts.parquet", "--json")
    assert enough.code == 0, enough.err
    assert enough.json["subjects"] == 44
    assert enough.json["verdicts"]["people_by_verdicts"] == 44
    assert Path("mine.safetensors").is_file()
