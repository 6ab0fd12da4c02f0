"""The demo's datasets: every planted leak is there as the truth says, and nothing gives it away."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image

from leakscan.errors import OutputError
from leakscan.synthetic.demo_data import TRUTH, PlantedPair, draw_demo
from leakscan.synthetic.films import draw_film
from leakscan.synthetic.heads import draw_brain


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[PlantedPair]]:
    out = tmp_path_factory.mktemp("demo")
    return out, draw_demo(out)


def stored(path: Path) -> np.ndarray:
    """The numbers of a film or, in RAS+ order, of a volume; MONOCHROME1 turned, offset and step gone."""
    if path.is_dir():
        slices = sorted(
            (pydicom.dcmread(p) for p in path.iterdir()), key=lambda ds: ds.ImagePositionPatient[2]
        )
        # Slices are [row to the back, column to the left]; RAS+ wants [right, front, up].
        values = np.stack([ds.pixel_array.T[::-1, ::-1] for ds in slices], axis=2)
    elif ".nii" in path.name:
        values = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
    elif path.suffix == ".dcm":
        ds = pydicom.dcmread(path)
        values = ds.pixel_array
        if ds.PhotometricInterpretation == "MONOCHROME1":
            values = values.max() - values
    else:
        values = np.asarray(Image.open(path))
    raised = values.astype(np.int64) - int(values.min())
    return raised // np.gcd.reduce(raised.ravel())


def pairs_of(demo: tuple[Path, list[PlantedPair]], relation: str) -> list[tuple[Path, Path]]:
    out, planted = demo
    found = [
        (out / "hospital_a" / p.path_a, out / "hospital_b" / p.path_b)
        for p in planted
        if p.relation == relation
    ]
    assert found
    return found


def test_copies_of_files_are_equal_byte_for_byte(demo: tuple[Path, list[PlantedPair]]) -> None:
    for a, b in pairs_of(demo, "same_file"):
        assert a.read_bytes() == b.read_bytes()


def test_lossless_copies_hold_equal_numbers_in_other_files(demo: tuple[Path, list[PlantedPair]]) -> None:
    for a, b in pairs_of(demo, "same_pixels"):
        assert a.is_dir() or a.read_bytes() != b.read_bytes()
        assert np.array_equal(stored(a), stored(b)), (a, b)


def test_altered_copies_hold_other_numbers(demo: tuple[Path, list[PlantedPair]]) -> None:
    for a, b in pairs_of(demo, "same_image"):
        first, second = stored(a), stored(b)
        assert first.shape != second.shape or not np.array_equal(first, second)


def test_the_same_subject_is_declared_by_identifier_and_no_other_pair_shares_one(
    demo: tuple[Path, list[PlantedPair]],
) -> None:
    out, planted = demo
    ids = {
        name: {p: pydicom.dcmread(p).PatientID for p in (out / name).glob("*/*.dcm")}
        for name in ("hospital_a", "hospital_b")
    }
    shared = {(a, b) for a, i in ids["hospital_a"].items() for b, j in ids["hospital_b"].items() if i == j}
    copied = set(pairs_of(demo, "same_file"))
    assert shared - copied == set(pairs_of(demo, "same_subject"))
    assert all(p.needs_same_ids == (p.relation == "same_subject") for p in planted)
    for a, b in pairs_of(demo, "same_subject"):
        assert not np.array_equal(stored(a), stored(b))


def test_the_demo_shows_every_format_and_relation(demo: tuple[Path, list[PlantedPair]]) -> None:
    out, planted = demo
    assert {p.relation for p in planted} == {"same_file", "same_pixels", "same_image", "same_subject"}
    for name, suffixes in (
        ("hospital_a", {".png", ".jpg", ".tif", ".dcm", ".nii", ".gz"}),
        ("hospital_b", {".png", ".jpg", ".tif", ".dcm", ".nii", ".gz", ".txt"}),
    ):
        assert {p.suffix for p in (out / name).rglob("*") if p.is_file()} == suffixes
    syntaxes = {pydicom.dcmread(p).file_meta.TransferSyntaxUID.name for p in out.glob("hospital_*/*/*.dcm")}
    assert len(syntaxes) == 3
    modes = {Image.open(p).mode for p in out.glob("hospital_a/films/*.png")}
    assert modes == {"L", "I;16"}


def test_one_jpeg_is_broken_and_one_file_is_text(demo: tuple[Path, list[PlantedPair]]) -> None:
    out, _ = demo
    broken = []
    for path in out.glob("hospital_?/*/*.jpg"):
        try:
            Image.open(path).load()
        except OSError:
            broken.append(path)
    assert [path.parent.parent.name for path in broken] == ["hospital_b"]
    assert (out / "hospital_b" / "README.txt").read_text()


def test_no_name_is_in_both_hospitals_and_no_time_differs(demo: tuple[Path, list[PlantedPair]]) -> None:
    out, _ = demo
    files = [p for p in out.glob("hospital_?/**/*") if p.is_file()]
    stems = [
        {p.name.split(".")[0] for p in files if name in p.parts} for name in ("hospital_a", "hospital_b")
    ]
    assert not stems[0] & stems[1]
    assert len({p.stat().st_mtime_ns for p in files}) == 1


def test_the_truth_beside_the_hospitals_says_the_same(demo: tuple[Path, list[PlantedPair]]) -> None:
    out, planted = demo
    with (out / TRUTH).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [{k: str(v) for k, v in vars(pair).items()} for pair in planted] == rows


def test_what_was_done_leaves_room_for_two_relations_on_a_line_of_80(
    demo: tuple[Path, list[PlantedPair]],
) -> None:
    """The demo's table has one line a leak: what was done, what was planted, what was found."""
    assert max(len(pair.how) for pair in demo[1]) <= 80 - 2 * len("  same_subject")


def contents(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_a_second_demo_replaces_the_first_by_equal_files_even_if_one_was_stopped_between(
    demo: tuple[Path, list[PlantedPair]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, planted = demo
    before = contents(out)

    def stop(a: Path, *_: object) -> list[PlantedPair]:
        (a / "films" / "half.png").write_bytes(b"half a film")
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping, pytest.raises(KeyboardInterrupt):
        stopping.setattr("leakscan.synthetic.demo_data._films", stop)
        draw_demo(out)
    assert draw_demo(out) == planted
    assert contents(out) == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file cannot be written"):
        draw_demo(tmp_path / "file")


def test_folders_that_no_demo_made_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hospital_a").mkdir()
    (tmp_path / "hospital_a" / "film.png").write_bytes(b"real")
    with pytest.raises(OutputError, match="hospital_a is in the way"):
        draw_demo(tmp_path)
    assert contents(tmp_path) == {"hospital_a/film.png": b"real"}


def test_drawn_films_of_different_subjects_differ() -> None:
    """More than the silhouette: as far apart as films of different people are at this size."""
    small = [
        np.asarray(Image.fromarray(draw_film(np.random.default_rng([9, i]))).resize((64, 64))).ravel()
        for i in range(8)
    ]
    assert max(np.corrcoef(a, b)[0, 1] for a, b in combinations(small, 2)) < 0.95


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_a_drawn_film_uses_its_depth_and_air_is_black(bits: int, dtype: type) -> None:
    film = draw_film(np.random.default_rng(4), bits=bits)
    assert film.dtype == dtype
    assert 0.8 * 2**bits < film.max() < 2**bits
    assert len(np.unique(film)) > 200
    middle = film[:, film.shape[1] // 2 - 10 : film.shape[1] // 2 + 10].mean()
    assert film[:12, :12].mean() < 0.1 * 2**bits < middle


def test_equal_generators_draw_equal_subjects() -> None:
    assert np.array_equal(draw_film(np.random.default_rng(2)), draw_film(np.random.default_rng(2)))
    assert np.array_equal(draw_brain(np.random.default_rng(2)), draw_brain(np.random.default_rng(2)))


def test_a_drawn_head_has_air_around_it_and_bright_white_matter_inside() -> None:
    head = draw_brain(np.random.default_rng(6), shape=(48, 58, 48), spacing_mm=4.0)
    assert head.shape == (48, 58, 48)
    assert head.max() < 4096
    corners = head[:4, -4:, -4:].mean()
    assert corners < 0.05 * 4096 < 0.3 * 4096 < np.median(head[18:30, 24:34, 24:34])
