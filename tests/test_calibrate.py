"""``leakscan calibrate`` on drawn films of declared subjects, and the file in use."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Leakscan, save

from leakscan.evaluation.drawing import draw_film

FILMS = ("--kind", "chest_radiograph")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 drawn people, the first five of whom have two films."""
    folder = tmp_path_factory.mktemp("films")
    rows = []
    for subject in range(60):
        film = cv2.resize(draw_film(np.random.default_rng(subject), height=160), (120, 120))
        for visit in range(2 if subject < 5 else 1):
            name = f"{subject}-{visit}.png"
            save(folder / name, film if not visit else np.ascontiguousarray(film[4:, 6:]))
            rows.append((name, f"person{subject}"))
    with (folder / "films.csv").open("w", newline="") as f:
        csv.writer(f).writerows([("path", "subject_id"), *rows])
    return folder / "films.csv"


def test_calibrate_fits_draws_and_its_file_is_used(leakscan: Leakscan, films: Path, tmp_path: Path) -> None:
    ran = leakscan("calibrate", films, "-o", "mine.safetensors", "--plots", "plots", *FILMS, "--json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["subjects"], found["genuine_pairs"]) == (60, 5)
    assert found["impostor_pairs"] == 65 * 64 // 2 - 5
    assert [level["stated_fmr"] for level in found["levels"]] == [1e-2, 1e-3, 1e-4, 1e-5]
    pictures = sorted(p.name for p in (tmp_path / "plots").iterdir())
    assert pictures == ["cost.png", "det.png", "scores.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in (tmp_path / "plots").iterdir())
    used = leakscan("compare", films, films.parent, "--calibration", "mine.safetensors", *FILMS, "--json")
    assert used.code == 1  # the films are the same
    (encoder,) = used.json["encoders"].values()
    assert "films" in encoder["calibration"]["source"]
    assert encoder["calibration"]["subjects"] == 60


def test_films_without_subjects_calibrate_nothing(leakscan: Leakscan, films: Path) -> None:
    ran = leakscan("calibrate", films.parent, "-o", "mine.safetensors", "--exclude", "*.csv", *FILMS)
    assert ran.code == 2
    assert "declares no subjects" in ran.error
    assert not Path("mine.safetensors").exists()


def test_a_file_that_is_no_calibration_is_not_replaced(
    leakscan: Leakscan, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    ran = leakscan("calibrate", films, "-o", "letter.txt", *FILMS)
    assert ran.code == 2
    assert "letter.txt exists and is no calibration" in ran.error
    assert (tmp_path / "letter.txt").read_text() == "keep me"


def test_too_few_subjects_are_counted(leakscan: Leakscan, films: Path) -> None:
    few = ("--exclude", "[1-5][0-9]-*")
    ran = leakscan("calibrate", films, "-o", "mine.safetensors", *few, *FILMS)
    assert ran.code == 2
    assert "Only 10 declared subjects" in ran.error


def test_a_calibration_that_is_none_is_named(leakscan: Leakscan, films: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_text("nothing")
    ran = leakscan("compare", films, films.parent, "--calibration", "mine.safetensors", *FILMS)
    assert ran.code == 2
    assert "mine.safetensors is no calibration" in ran.error
