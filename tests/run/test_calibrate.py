"""``leakscan calibrate`` on drawn films of declared subjects, and the file in use."""

from __future__ import annotations

import csv
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from leakscan.decide.persons import film_details
from leakscan.synthetic.films import draw_film
from support.makers import Leakscan, save

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
    some = ("--exclude", "[1-5][0-9]-*")
    used = leakscan(
        "compare", films, films.parent, "--calibration", "mine.safetensors", *some, *FILMS, "--json"
    )
    assert used.code == 1  # the films are the same
    (encoder,) = (e for e in used.json["encoders"].values() if e["kind"] == "chest_radiograph")
    assert "films" in encoder["calibration"]["source"]
    assert encoder["calibration"]["subjects"] == 60


def test_what_a_killed_calibration_matched_is_not_matched_again(
    leakscan: Leakscan, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill while details were matched cost 5.8 s, which was all of it: nothing was kept, nor put aside."""
    compared, described = [0], [0]
    agreement, pixels = film_details._agreement_here, film_details._described

    def counted_agreement(pairs: Any, path: Path) -> list[float]:
        compared[0] += 1
        if stops and compared[0] > 1:
            raise KeyboardInterrupt
        return agreement(pairs, path)

    def counted_pixels(*args: Any, **more: Any) -> Any:
        described[0] += 1
        return pixels(*args, **more)

    monkeypatch.setattr(film_details, "_agreement_here", counted_agreement)
    monkeypatch.setattr(film_details, "_described", counted_pixels)
    monkeypatch.setattr(film_details, "_WINDOW", 4)
    words = ("calibrate", films, "-o", "mine.safetensors", *FILMS, "--workers", "0")
    stops = True
    assert leakscan(*words).code == 130
    assert described[0] == 0  # what was seen of films when they were read was put aside
    with closing(sqlite3.connect(tmp_path / ".leakscan" / "pairs.sqlite3")) as memory:
        assert memory.execute("SELECT count(*) FROM detail_matches").fetchone()[0] == 4
    stops, compared[0] = False, 0
    assert leakscan(*words).code == 0
    all_of_them, compared[0] = compared[0], 0
    shutil.copy("mine.safetensors", "first.safetensors")
    assert leakscan(*words).code == 0
    assert all_of_them > 0
    assert compared[0] == 0
    assert Path("mine.safetensors").read_bytes() == Path("first.safetensors").read_bytes()


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


@pytest.mark.slow
def test_datasets_that_are_copies_of_each_other_are_settled_by_hashes(
    leakscan: Leakscan, films: Path, tmp_path: Path
) -> None:
    """Nobody is left to test, and the films of one person are no strangers to each other."""
    shutil.copytree(films.parent, tmp_path / "again")
    some = ("--exclude", "*.csv", "--exclude", "[2-5][0-9]-*")
    ran = leakscan("compare", films.parent, "again", *some, *FILMS, "--json")
    assert ran.code == 1, ran.err
    assert ran.json["decisions"]["same_file"]["leak"] == 25
    (comparison,) = ran.json["comparisons"]
    assert any("nothing shows whether the encoder's calibration holds" in w for w in comparison["words"])


def test_one_identifier_on_every_film_names_nobody(leakscan: Leakscan, films: Path, tmp_path: Path) -> None:
    for i in range(30):
        shutil.copy(films.parent / f"{i}-0.png", tmp_path / f"{i}.png")
    with (tmp_path / "one.csv").open("w", newline="") as f:
        csv.writer(f).writerows([("path", "subject_id"), *((f"{i}.png", "the same") for i in range(30))])
    ran = leakscan("calibrate", "one.csv", "-o", "mine.safetensors", *FILMS)
    assert ran.code == 2
    assert "an identifier that stands on most images names nobody" in ran.error


def test_films_that_are_all_of_one_subject_are_one_test_and_no_leak(
    leakscan: Leakscan, films: Path, tmp_path: Path
) -> None:
    for i in range(45):
        folder = tmp_path if i < 15 else tmp_path / "others"
        folder.mkdir(exist_ok=True)
        shutil.copy(films.parent / f"{i}-0.png", folder / f"{i}.png")
    with (tmp_path / "one.csv").open("w", newline="") as f:
        csv.writer(f).writerows([("path", "subject_id"), *((f"{i}.png", "the same") for i in range(15))])
    ran = leakscan("compare", "one.csv", "others", *FILMS, "--json")
    assert ran.code in (0, 3), ran.err
    (comparison,) = ran.json["comparisons"]
    (tested,) = comparison["thresholds"].values()
    assert tested["subjects"] == [1, 30]
    assert "1 subject on a side (fewer than 200)" in tested["caution"]
    assert not any(found["leak"] for found in ran.json["decisions"].values())


def test_pictures_without_what_draws_them_are_refused_before_anything_is_read(
    leakscan: Leakscan, tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = leakscan("calibrate", films, "-o", "mine.safetensors", "--plots", "plots", *FILMS)
    assert ran.code == 2
    assert "Pictures need matplotlib." in ran.error
    assert not (tmp_path / "mine.safetensors").exists()
    assert not (tmp_path / ".leakscan").exists()
