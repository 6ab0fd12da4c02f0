"""A share that fails, or a permission that is lost, while calibrate or train works: files are named."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from leakscan.fingerprint import prepare
from leakscan.synthetic.films import draw_film
from support.makers import Leakscan, save

FILMS = ("--kind", "chest_radiograph", "--workers", "0")
TINY = (
    "--side",
    32,
    "--pairs",
    3,
    "--workers",
    0,
    "--threads",
    1,
    "--device",
    "cpu",
    "--backbone",
    "resnet18",
)
FAULTS = (errno.EIO, errno.EACCES, errno.ESTALE)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Names of files that give I/O errors on a share, which is one in memory here."""
    real, names = MemoryFileSystem._open, dict[str, int]()

    def failing(self: Any, path: str, mode: str = "rb", *rest: Any, **more: Any) -> Any:
        number = names.get(path.rpartition("/")[2]) if "r" in mode else None
        if number is not None:
            raise OSError(number, os.strerror(number), path)
        return real(self, path, mode, *rest, **more)

    monkeypatch.setattr(MemoryFileSystem, "_open", failing)
    return names


def films(folder: Path, people: int) -> list[str]:
    names = []
    for person in range(people):
        film = cv2.resize(draw_film(np.random.default_rng(person), height=160), (120, 120))
        for visit in range(2 if person < 3 else 1):
            names.append(f"p{person}_{visit}.png")
            save(folder / names[-1], film[2 * visit :, 3 * visit :].copy())
    return names


def test_calibrate_names_files_of_a_share_that_fails(
    leakscan: Leakscan, tmp_path: Path, broken: dict[str, int]
) -> None:
    names = films(tmp_path / "films", 43)
    system = MemoryFileSystem()
    for name in names:
        system.pipe(f"/calibrated/ward/{name}", (tmp_path / "films" / name).read_bytes())
    broken |= {f"p{40 + i}_0.png": number for i, number in enumerate(FAULTS)}
    rule = ("--subjects", "regex:(p[0-9]+)_", "-o", "mine.safetensors")
    ran = leakscan("calibrate", "memory://calibrated/ward", *rule, *FILMS, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["images"], ran.json["subjects"]) == (len(names) - 3, 40)
    words = "3 files of ward that look like images were not compared"
    assert any(words in w for w in ran.json["warnings"]), ran.json
    assert any("p40_0.png" in w and "input/output error" in w for w in ran.json["warnings"]), ran.json
    broken.clear()  # the share is well again: nothing was kept of its trouble
    again = leakscan("calibrate", "memory://calibrated/ward", *rule, *FILMS, "--json")
    assert again.json["images"] == len(names) and again.json["warnings"] == [], again.json["warnings"]


def test_calibrate_says_which_details_a_lost_permission_costs(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leakscan.decide.persons import film_details
    from leakscan.fingerprint.encoders.film.detail_shelf import DetailShelf

    films(tmp_path / "films", 40)
    real: Callable[..., Any] = film_details.load_pixels
    # As where fingerprints come from the cache: what was seen of films then is not at hand.
    monkeypatch.setattr(DetailShelf, "get", lambda *_: None)

    gone: set[str] = set()

    def lost(pixels: Any, options: Any) -> Any:
        if len(gone) < 2 or pixels.path in gone:
            gone.add(pixels.path)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), pixels.path)
        return real(pixels, options)

    monkeypatch.setattr(film_details, "load_pixels", lost)
    rule = ("--subjects", "regex:(p[0-9]+)_", "-o", "mine.safetensors")
    ran = leakscan("calibrate", "films", *rule, *FILMS, "--json")
    assert ran.code == 0, ran.err
    words = "2 films could be read for a fingerprint and then no more"
    assert any(words in w for w in ran.json["warnings"]), ran.json


def archive(folder: Path) -> Path:
    rows = []
    for person in range(6):
        for visit in range(2):
            name = f"{person}-{visit}.png"
            save(
                folder / name,
                cv2.resize(draw_film(np.random.default_rng(person), height=96), (70 + visit, 72)),
            )
            rows.append((name, f"p{person}", "train" if person < 4 else "val"))
    with (folder / "films.csv").open("w", newline="") as f:
        csv.writer(f).writerows([("path", "subject_id", "split"), *rows])
    return folder / "films.csv"


def test_train_names_films_that_fail_and_asks_a_share_twice(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = archive(tmp_path / "archive")
    real, asked = prepare.decode, dict[str, int]()

    def failing(ref: Any, options: Any) -> Any:
        asked[ref.path] = asked.get(ref.path, 0) + 1
        if ref.path == "0-1.png" or (ref.path == "1-1.png" and asked[ref.path] == 1):
            raise OSError(errno.EIO, os.strerror(errno.EIO), ref.path)
        return real(ref, options)

    monkeypatch.setattr(prepare, "decode", failing)
    ran = leakscan("train", listed, "-o", "run", "--steps", 1, "--backbone", "resnet18", *TINY, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["train_films"] == 7 and ran.json["unreadable"] == 1
    assert ran.json["first_unreadable"] == [["0-1.png", "It cannot be read: Input/output error."]]
    assert any("left out of every run with the packed films" in w for w in ran.json["words"])
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == ran.json


def test_a_film_that_kills_its_worker_costs_train_itself_only(tmp_path: Path) -> None:
    from leakscan.training.films.form import Form
    from leakscan.training.films.manifests import films_of
    from leakscan.training.films.pack import lost_film, read_films
    from leakscan.types import Silent

    listed = films_of(archive(tmp_path), "val", Silent())
    read = list(read_films(listed, Form((32, 32)), 0))
    assert [film.error for film in read] == [""] * 4
    assert "crashed" in lost_film(listed[0], "died").error
    assert "30 s" in lost_film(listed[0], "took_too_long").error
