"""Planted leaks: the pictures hold what the truth says, and nothing else gives it away."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from leakscan.errors import OutputError, SourceError, UsageError
from leakscan.synthetic.alterations import ALTERATIONS
from leakscan.synthetic.films import draw_film
from leakscan.synthetic.planted import PlantedCopy, PlantedTruth, plant, read_film
from support.planted_films import LOSSLESS, draw_films


def decoded(path: Path) -> np.ndarray:
    """The picture as a viewer shows it, in the stored numbers."""
    if path.suffix != ".dcm":
        return np.asarray(Image.open(path)).astype(np.int64)
    ds = pydicom.dcmread(path)
    values = ds.pixel_array.astype(np.int64)
    return values.max() - values if ds.PhotometricInterpretation == "MONOCHROME1" else values


def normalised(values: np.ndarray) -> np.ndarray:
    """Minus the minimum, divided by the gcd: what a pixel hash is taken of."""
    raised = values - values.min()
    return raised // max(int(np.gcd.reduce(raised.ravel())), 1)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten drawn subjects as JPEG."""
    return draw_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def truth(films: list[Path], tmp_path_factory: pytest.TempPathFactory) -> PlantedTruth:
    return plant(films, tmp_path_factory.mktemp("run") / "planted", copies=3, seed=5, only_b_share=0.2)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_alteration_keeps_every_pixel(name: str, bits: int, tmp_path: Path) -> None:
    film = draw_film(np.random.default_rng(3), bits=bits, height=96)
    source = tmp_path / "film.png"
    Image.fromarray(film).save(source)
    path, relation = ALTERATIONS[name].apply(source, film, tmp_path / "copy", np.random.default_rng(0))
    if name == "png_12bit" and bits > 8:
        assert relation == "same_image", "sixteen bits do not fit into twelve"
        return
    assert relation == ("same_file" if name == "exact" else "same_pixels")
    assert np.array_equal(normalised(decoded(path)), normalised(film.astype(np.int64)))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", [name for name in ALTERATIONS if name not in LOSSLESS])
def test_any_other_alteration_changes_the_picture_and_owes_same_image(
    name: str, bits: int, tmp_path: Path
) -> None:
    film = draw_film(np.random.default_rng(3), bits=bits, height=96)
    path, relation = ALTERATIONS[name].apply(
        tmp_path / "none.png", film, tmp_path / "copy", np.random.default_rng(0)
    )
    altered = decoded(path)
    assert relation == "same_image"
    assert altered.ndim == 2
    assert altered.std() > 0.05 * altered.max()
    assert altered.shape != film.shape or not np.array_equal(
        normalised(altered), normalised(film.astype(np.int64))
    )


@pytest.mark.parametrize(("name", "kept"), [("crop_10", 0.9), ("crop_25", 0.75), ("half_size", 0.5)])
def test_crops_and_halves_have_the_size_that_their_names_say(name: str, kept: float, tmp_path: Path) -> None:
    film = draw_film(np.random.default_rng(3), height=160)
    path, _ = ALTERATIONS[name].apply(film, film, tmp_path / "copy", np.random.default_rng(0))
    assert np.allclose(decoded(path).shape, np.array(film.shape) * kept, atol=1)


def test_a_stored_negative_is_declared_as_monochrome1(tmp_path: Path) -> None:
    film = draw_film(np.random.default_rng(3), height=96)
    path, _ = ALTERATIONS["dicom_monochrome1"].apply(tmp_path, film, tmp_path / "c", np.random.default_rng(0))
    ds = pydicom.dcmread(path)
    assert ds.PhotometricInterpretation == "MONOCHROME1"
    assert np.array_equal(255 - ds.pixel_array, film)


def test_every_kind_is_planted_as_often_as_asked_and_on_different_films(truth: PlantedTruth) -> None:
    for kind in ALTERATIONS:
        originals = [copy.path_a for copy in truth.copies if copy.alteration == kind]
        assert len(originals) == len(set(originals)) == 3


def test_a_holds_the_films_byte_for_byte_and_b_keeps_some_for_itself(
    films: list[Path], truth: PlantedTruth
) -> None:
    contents = {film.read_bytes() for film in films}
    assert len(list(truth.a.iterdir())) == 8
    assert {path.read_bytes() for path in truth.a.iterdir()} <= contents
    assert len(truth.only_b) == 2
    assert {p.name for p in truth.b.iterdir()} == {c.path_b for c in truth.copies} | set(truth.only_b)
    assert set(truth.only_a) == {p.name for p in truth.a.iterdir()} - {c.path_a for c in truth.copies}


def test_every_copy_shows_the_film_that_the_truth_names(truth: PlantedTruth) -> None:
    for copy in truth.copies:
        if copy.alteration in LOSSLESS:
            original = decoded(truth.a / copy.path_a)
            assert np.array_equal(normalised(original), normalised(decoded(truth.b / copy.path_b)))


def test_neither_names_nor_times_tell_what_belongs_together(truth: PlantedTruth) -> None:
    paths = [*truth.a.iterdir(), *truth.b.iterdir()]
    assert len({path.stem for path in paths}) == len(paths)
    assert all(re.fullmatch(r"[0-9a-f]{16}", path.stem) for path in paths)
    assert len({path.stat().st_mtime_ns for path in paths}) == 1
    by_name = {copy.path_b: list(ALTERATIONS).index(copy.alteration) for copy in truth.copies}
    order = [by_name[name] for name in sorted(by_name)]
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.5


def test_the_truth_lies_outside_both_datasets_and_says_the_same(truth: PlantedTruth) -> None:
    with (truth.a.parent / "truth.csv").open(encoding="utf-8") as file:
        rows = [PlantedCopy(**row) for row in csv.DictReader(file)]
    assert tuple(rows) == truth.copies


def contents(truth: PlantedTruth) -> dict[str, bytes]:
    root = truth.a.parent
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_equal_seeds_plant_equal_files_whatever_the_order_of_the_films(
    films: list[Path], tmp_path: Path
) -> None:
    first, second, other = (
        contents(plant(order, tmp_path / name, copies=1, seed=seed))
        for order, name, seed in ((films, "x", 1), (films[::-1], "y", 1), (films, "z", 2))
    )
    assert first == second
    assert first.keys() != other.keys()


def test_what_cannot_be_planted_is_said_before_anything_is_written(films: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="11 copies"):
        plant(films, tmp_path / "many", copies=11, seed=0)
    with pytest.raises(UsageError, match="sepia"):
        plant(films, tmp_path / "unknown", copies=1, seed=0, kinds=["sepia"])
    assert not list(tmp_path.iterdir())
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        plant(films, tmp_path, copies=1, seed=0)
    with pytest.raises(SourceError, match=r"notes\.txt"):
        read_film(tmp_path / "notes.txt")


def test_films_are_read_upright_and_at_their_depth(tmp_path: Path) -> None:
    deep = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read_film(tmp_path / "deep.png"), deep)
    lying = Image.fromarray(deep.astype(np.uint8))
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.png", exif=exif)
    assert read_film(tmp_path / "lying.png").shape == (30, 20)
