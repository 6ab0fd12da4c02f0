"""Draws two small hospitals' datasets with leaks planted between them, for ``leakscan demo``.

Every picture is drawn (:mod:`leakscan.synthetic.films`), so there is no second picture of the same
person to find. That relation is planted by identifier alone, and found with ``--same-ids``.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform

from leakscan.errors import OutputError
from leakscan.synthetic.alterations import (
    clahe,
    crop,
    gamma,
    half_size,
    inversion,
    mirror,
    to_eight_bits,
    turn_3,
)
from leakscan.synthetic.films import draw_film
from leakscan.synthetic.heads import draw_brain
from leakscan.synthetic.writers import (
    Compression,
    FilmPixels,
    FilmTags,
    Grid,
    write_dicom_film,
    write_dicom_series,
    write_jpeg,
    write_nifti,
    write_png,
    write_tiff,
)
from leakscan.types import Progress, Relation, Silent

Rng = np.random.Generator
Volume = npt.NDArray[np.uint16]

TRUTH = "planted.csv"
_GRID = Grid((3.0, 3.0, 3.0))
_ONE_TIME = 1_000_000_000


@dataclass(frozen=True)
class PlantedPair:
    """One leak of the demo; a row of ``planted.csv``.

    Attributes:
        path_a: The path relative to ``hospital_a``, for a DICOM series its folder's.
        path_b: The path relative to ``hospital_b``.
        relation: What a correct run reports at least.
        how: What was done, in a few words: short enough for one line of a terminal, 52 characters.
        needs_same_ids: Whether only equal identifiers can show it, because nothing in the pictures does.
    """

    path_a: str
    path_b: str
    relation: Relation
    how: str
    needs_same_ids: bool = False


@dataclass(frozen=True)
class _Container:
    """A file format of the demo: its suffix, the depth that it is drawn in, and what writes it."""

    suffix: str
    bits: int
    write: Callable[[FilmPixels, Path, Rng, str], None]


def _write_dicom(
    film: FilmPixels,
    path: Path,
    rng: Rng,
    patient: str,
    *,
    monochrome1: bool = False,
    compression: Compression = "",
) -> None:
    # A drawing must not claim to be a chest film: it would be compared with those by subject.
    write_dicom_film(
        film,
        path,
        rng,
        monochrome1=monochrome1,
        compression=compression,
        tags=FilmTags(patient, body_part="PHANTOM"),
    )


_CONTAINERS = {
    "PNG": _Container(".png", 8, lambda film, path, rng, patient: write_png(film, path)),
    "16-bit PNG": _Container(".png", 12, lambda film, path, rng, patient: write_png(film, path)),
    "JPEG": _Container(".jpg", 8, lambda film, path, rng, patient: write_jpeg(to_eight_bits(film), path)),
    "TIFF": _Container(".tif", 12, lambda film, path, rng, patient: write_tiff(film, path)),
    "DICOM": _Container(".dcm", 12, _write_dicom),
    "DICOM MONOCHROME1": _Container(".dcm", 12, lambda *args: _write_dicom(*args, monochrome1=True)),
    "DICOM JPEG 2000": _Container(".dcm", 12, lambda *args: _write_dicom(*args, compression="jpeg2000")),
    "DICOM RLE": _Container(".dcm", 8, lambda *args: _write_dicom(*args, compression="rle")),
}

_BYTE_COPIES = ("JPEG", "PNG", "DICOM")
_LOSSLESS = (
    ("16-bit PNG", "DICOM MONOCHROME1"),
    ("PNG", "DICOM RLE"),
    ("DICOM JPEG 2000", "TIFF"),
    ("DICOM MONOCHROME1", "16-bit PNG"),
)


def _eight(film: FilmPixels) -> FilmPixels:
    """Twelve bits spread over eight, as a viewer exports them."""
    return film if film.dtype == np.uint8 else np.asarray(film >> np.uint16(4), dtype=np.uint8)


_CHANGES: tuple[tuple[str, str, str, Callable[[FilmPixels, Rng], FilmPixels]], ...] = (
    ("PNG", "JPEG", "cropped by a tenth", lambda film, rng: crop(film, rng, 0.10)),
    ("16-bit PNG", "PNG", "mirrored", mirror),
    ("JPEG", "PNG", "inverted and another gamma", lambda film, rng: gamma(inversion(film, rng), rng)),
    (
        "DICOM",
        "JPEG",
        "turned 3 degrees, contrast equalised",
        lambda film, rng: clahe(turn_3(film, rng), rng),
    ),
    ("TIFF", "JPEG", "half the size", half_size),
)
_SAME_IDENTIFIER = 2
_ONLY_A = ("PNG", "JPEG", "DICOM", "TIFF", "16-bit PNG", "DICOM JPEG 2000", "JPEG", "PNG")
_ONLY_B = ("JPEG", "PNG", "DICOM MONOCHROME1", "16-bit PNG", "JPEG", "TIFF", "DICOM", "PNG")


def draw_demo(out: Path, seed: int = 0, progress: Progress | None = None) -> list[PlantedPair]:
    """Draws ``out/hospital_a``, ``out/hospital_b`` and the truth beside them, ``out/planted.csv``.

    Each holds 22 films and 4 head volumes in the formats that hospitals and public datasets use;
    ``hospital_b`` also has a truncated JPEG and a text file. An earlier demo in ``out`` is replaced.

    Args:
        out: The folder to draw into; it is made if missing.
        seed: The seed of the draws. Equal seeds give equal files.
        progress: Receives what is being drawn: the films, then the heads.

    Returns:
        The planted leaks, strongest relation first.

    Raises:
        OutputError: ``out`` has folders of these names that no demo made, or cannot be written.

    Example::

        [pair.relation for pair in draw_demo(Path("demo"))][0]  # 'same_file'
    """
    progress = progress or Silent()
    a, b = _fresh(out)
    progress.start("Drawing films", None)
    planted = _films(a, b, np.random.default_rng([seed, 2]))
    _write_what_is_no_film(b, np.random.default_rng([seed, 4]))
    progress.start("Drawing heads", None)
    planted += _volumes(a, b, np.random.default_rng([seed, 3]))
    progress.finish()
    for path in (*a.rglob("*"), *b.rglob("*")):
        os.utime(path, (_ONE_TIME, _ONE_TIME))
    strength: list[Relation] = ["same_file", "same_pixels", "same_image", "same_subject"]
    planted.sort(key=lambda pair: (strength.index(pair.relation), pair.how, pair.path_a))
    with (out / TRUTH).open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([getattr(pair, column) for column in _COLUMNS] for pair in planted)
    return planted


_COLUMNS = [column.name for column in fields(PlantedPair)]


def _fresh(out: Path) -> tuple[Path, Path]:
    a, b, truth = out / "hospital_a", out / "hospital_b", out / TRUTH
    old = [folder for folder in (a, b) if folder.exists()]
    ours = truth.is_file() and truth.read_text(encoding="utf-8").startswith(",".join(_COLUMNS))
    if old and not ours:
        raise OutputError(f"{old[0]} is in the way and is not from a demo.", hint="Name another folder.")
    try:
        for folder in old:
            shutil.rmtree(folder)
        out.mkdir(parents=True, exist_ok=True)
        # First of all: a demo that is stopped while it draws must know its own folders again.
        truth.write_text(",".join(_COLUMNS) + "\r\n", encoding="utf-8", newline="")
        for folder in (a / "films", a / "mr", b / "images", b / "volumes"):
            folder.mkdir(parents=True)
    except OSError as e:
        raise OutputError(f"{out} cannot be written: {e.strerror or e}.", "Name another folder.") from e
    return a, b


def _tokens(rng: Rng) -> Iterator[str]:
    """File names and patient identifiers that say nothing: eight random digits, never twice."""
    seen: set[int] = set()
    while True:
        number = int(rng.integers(10_000_000, 100_000_000))
        if number not in seen:
            seen.add(number)
            yield str(number)


def _films(a: Path, b: Path, rng: Rng) -> list[PlantedPair]:
    tokens = _tokens(rng)
    planted: list[PlantedPair] = []

    def write(film: FilmPixels, kind: str, folder: Path, patient: str = "") -> Path:
        container = _CONTAINERS[kind]
        path = folder / (next(tokens) + container.suffix)
        container.write(film, path, rng, patient or next(tokens))
        return path

    def drawn(kind: str) -> FilmPixels:
        return draw_film(rng, bits=_CONTAINERS[kind].bits)

    def plant(path_a: Path, path_b: Path, relation: Relation, how: str, needs_same_ids: bool = False) -> None:
        names = path_a.relative_to(a).as_posix(), path_b.relative_to(b).as_posix()
        planted.append(PlantedPair(*names, relation, how, needs_same_ids))

    films, images = a / "films", b / "images"
    for kind in _BYTE_COPIES:
        original = write(drawn(kind), kind, films)
        copied = images / (next(tokens) + original.suffix)
        shutil.copyfile(original, copied)
        plant(original, copied, "same_file", f"{kind}, byte for byte")
    for kind_a, kind_b in _LOSSLESS:
        film = drawn(kind_a)
        plant(write(film, kind_a, films), write(film, kind_b, images), "same_pixels", f"{kind_a} to {kind_b}")
    for kind_a, kind_b, change, changed in _CHANGES:
        film = drawn(kind_a)
        altered = np.ascontiguousarray(changed(_eight(film), rng))
        how = f"{kind_a} to {kind_b}, {change}"
        plant(write(film, kind_a, films), write(altered, kind_b, images), "same_image", how)
    for _ in range(_SAME_IDENTIFIER):
        patient = next(tokens)
        pair = [write(drawn("DICOM"), "DICOM", folder, patient) for folder in (films, images)]
        plant(pair[0], pair[1], "same_subject", "two drawings with one PatientID", needs_same_ids=True)
    for kinds, folder in ((_ONLY_A, films), (_ONLY_B, images)):
        for kind in kinds:
            write(drawn(kind), kind, folder)
    return planted


def _volumes(a: Path, b: Path, rng: Rng) -> list[PlantedPair]:
    tokens = _tokens(rng)
    mr, volumes = a / "mr", b / "volumes"

    series, first = mr / next(tokens), draw_brain(rng)
    series.mkdir()
    names = [f"{next(tokens)}.dcm" for _ in range(first.shape[2])]
    write_dicom_series(first, series, _GRID, rng, names=names, patient=next(tokens))
    converted = volumes / f"{next(tokens)}.nii.gz"
    write_nifti(first, converted, _GRID, left_first=True)

    same, same_b = mr / f"{next(tokens)}.nii", volumes / f"{next(tokens)}.nii"
    write_nifti(draw_brain(rng), same, _GRID)
    shutil.copyfile(same, same_b)

    scanned, resampled = mr / f"{next(tokens)}.nii.gz", volumes / f"{next(tokens)}.nii.gz"
    third = draw_brain(rng)
    write_nifti(third, scanned, _GRID)
    write_nifti(*_resampled(third, rng, resampled))

    write_nifti(draw_brain(rng), mr / f"{next(tokens)}.nii.gz", _GRID)
    write_nifti(draw_brain(rng), volumes / f"{next(tokens)}.nii.gz", _GRID)

    def pair(path_a: Path, path_b: Path, relation: Relation, how: str) -> PlantedPair:
        return PlantedPair(path_a.relative_to(a).as_posix(), path_b.relative_to(b).as_posix(), relation, how)

    return [
        pair(series, converted, "same_pixels", "DICOM series to NIfTI"),
        pair(same, same_b, "same_file", "NIfTI, byte for byte"),
        pair(scanned, resampled, "same_image", "NIfTI to NIfTI, turned and resampled"),
    ]


def _resampled(volume: Volume, rng: Rng, path: Path) -> tuple[Volume, Path, Grid]:
    """The head turned by 4 degrees about the long axis, on a grid of 3.5 mm, trilinear."""
    spacing, angle = 3.5, np.deg2rad(4.0) * rng.choice([-1, 1])
    step = spacing / _GRID.spacing_mm[0]
    shape = tuple(int(np.ceil(n / step)) for n in volume.shape)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]) * step
    middle_in, middle_out = ((np.array(s) - 1) / 2 for s in (volume.shape, shape))
    moved = affine_transform(volume, turn, middle_in - turn @ middle_out, output_shape=shape, order=1)
    return np.asarray(moved, dtype=np.uint16), path, Grid((spacing, spacing, spacing))


def _write_what_is_no_film(b: Path, rng: Rng) -> None:
    """A JPEG cut off in transfer and a text file: rows of the report, not the end of the run."""
    broken = b / "images" / f"{next(_tokens(rng))}.jpg"
    write_jpeg(to_eight_bits(draw_film(rng)), broken)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 3])
    (b / "README.txt").write_text("Films and volumes of hospital B.\n", encoding="utf-8")
