"""Ideas are measured one by one against the same base, on subjects that no run learns from."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import save

from leakscan.errors import SourceError, UsageError
from leakscan.evaluation.drawing import draw_film
from leakscan.training.ablation import BASE, IDEAS, ablate
from leakscan.training.config import changed, preset
from leakscan.types import Silent

TINY = changed(
    preset("fingerprint-2d"),
    {"side": 32, "pairs": 3, "steps": 1, "evaluate_every": 1, "precision": "float32"},
)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of each of 12 drawn people, 8 of them in ``val``."""
    folder = tmp_path_factory.mktemp("films")
    rows = [("path", "subject_id", "split")]
    for person in range(12):
        film = cv2.resize(draw_film(np.random.default_rng([6, person]), height=96), (72, 72))
        for visit in range(2):
            save(folder / f"{person}-{visit}.png", np.ascontiguousarray(film[4 * visit :, :]))
            rows.append((f"{person}-{visit}.png", f"p{person}", "train" if person < 4 else "val"))
    for name, kept in (("films.csv", rows), ("few.csv", rows[:17])):
        with (folder / name).open("w", newline="") as stream:
            csv.writer(stream).writerows(kept)
    return folder


def test_an_idea_is_measured_beside_the_base_and_not_trained_twice(films: Path, tmp_path: Path) -> None:
    def rows() -> list[dict[str, object]]:
        return ablate([films / "films.csv"], tmp_path, TINY, ["no triplet term"], Silent())

    base, idea = rows()
    assert (base["idea"], idea["idea"]) == (BASE, "no triplet term")
    assert base["p_at_1_gain"] == base["tar_gain"] == [0, 0, 0]
    gain, low, high = idea["p_at_1_gain"]  # type: ignore[misc]
    assert low <= gain <= high
    assert gain == pytest.approx(idea["p_at_1"] - base["p_at_1"], abs=2e-3)  # type: ignore[operator]
    assert idea["20_way_1_shot"] is None  # val has 8 people
    saved = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("last.safetensors")}
    assert len(saved) == 2
    assert rows() == [base, idea]
    assert {path: path.stat().st_mtime_ns for path in saved} == saved


@pytest.mark.parametrize("idea", [name for name in IDEAS if name != BASE])
def test_every_idea_differs_from_the_base(idea: str) -> None:
    settings = dict(IDEAS[idea])
    assert settings
    if settings.keys() <= {"start"}:
        return
    settings.pop("start", None)
    if "pairs" in settings:
        settings["pairs"] = 2
    assert changed(TINY, settings) != TINY


def test_unknown_ideas_and_too_few_films_are_refused_before_training(films: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no idea 'more luck'"):
        ablate([films / "films.csv"], tmp_path, TINY, ["more luck"], Silent())
    with pytest.raises(SourceError, match="make 24 pairs; 100 are needed"):
        ablate([films / "few.csv"], tmp_path, TINY, [], Silent())
    assert not list(tmp_path.rglob("last.safetensors"))
