"""What happens to a film on its way from one dataset into another, one alteration a function.

An alteration takes the grey pixels of a film and writes a file that shows the same film. It says
which relation a correct tool owes the pair: a lossless copy is ``same_pixels``, whatever its
container and depth, and a picture that was changed is ``same_image``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.synthetic.writers import FilmPixels, write_dicom_film, write_jpeg, write_png
from leakscan.types import Relation

Change = Callable[[FilmPixels, np.random.Generator], FilmPixels]
Writer = Callable[[FilmPixels, Path, np.random.Generator], Relation]
Apply = Callable[[Path, FilmPixels, Path, np.random.Generator], tuple[Path, Relation]]


@dataclass(frozen=True)
class Alteration:
    """One way to alter a film.

    Attributes:
        name: The name in ``truth.csv``.
        apply: ``apply(source, film, stem, rng)`` writes the altered copy of ``film``, which was read
            from ``source``, to ``stem`` plus a suffix. It returns the file, and the relation that is
            owed at least.
    """

    name: str
    apply: Apply


def _full_scale(film: FilmPixels) -> int:
    """The largest number the film's type holds: 255 or 65535."""
    return int(np.iinfo(film.dtype).max)


def _resized(film: FilmPixels, height: int, width: int) -> FilmPixels:
    return np.asarray(cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA), dtype=film.dtype)


def half_size(film: FilmPixels, rng: np.random.Generator) -> FilmPixels:
    """Half the height and half the width, by averaging over areas.

    Example:
        >>> half_size(np.array([[0, 100], [100, 200]], np.uint8), np.random.default_rng(0)).tolist()
        [[100]]
    """
    return _resized(film, max(film.shape[0] // 2, 1), max(film.shape[1] // 2, 1))


def crop(film: FilmPixels, rng: np.random.Generator, share: float) -> FilmPixels:
    """A window that lacks ``share`` of the height and of the width, placed at random.

    Example:
        >>> crop(np.zeros((40, 20), np.uint8), np.random.default_rng(0), share=0.25).shape
        (30, 15)
    """
    height, width = (max(round(n * (1 - share)), 1) for n in film.shape)
    top = int(rng.integers(film.shape[0] - height + 1))
    left = int(rng.integers(film.shape[1] - width + 1))
    return film[top : top + height, left : left + width]


def brightness(film: FilmPixels, rng: np.random.Generator) -> FilmPixels:
    """Every value moved by 12 to 20 % of the scale, up or down, and clipped.

    Example:
        >>> film = np.array([[0, 128, 255]], np.uint8)
        >>> brightness(film, np.random.default_rng(0)).tolist()
        [[36, 164, 255]]
    """
    shift = rng.choice([-1, 1]) * rng.uniform(0.12, 0.20) * _full_scale(film)
    return _clipped(film + shift, film)


def gamma(film: FilmPixels, rng: np.random.Generator) -> FilmPixels:
    """``v ** g`` on the unit scale, with g in 0.5 to 0.75 or 1.35 to 2.

    Example:
        >>> film = np.array([[0, 128, 255]], np.uint8)
        >>> gamma(film, np.random.default_rng(0)).tolist()
        [[0, 89, 255]]
    """
    power = rng.uniform(0.5, 0.75) if rng.random() < 0.5 else rng.uniform(1.35, 2.0)
    top = _full_scale(film)
    return _clipped((film / top) ** power * top, film)


def clahe(film: FilmPixels, rng: np.random.Generator) -> FilmPixels:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994), limit 2 to 4, 8 x 8 tiles.

    Example:
        >>> dull = np.random.default_rng(0).integers(100, 110, (64, 64)).astype(np.uint8)
        >>> bool(np.ptp(clahe(dull, np.random.default_rng(0))) > np.ptp(dull))
        True
    """
    equaliser = cv2.createCLAHE(clipLimit=float(rng.uniform(2, 4)), tileGridSize=(8, 8))
    return np.asarray(equaliser.apply(film), dtype=film.dtype)


def mirror(film: FilmPixels, rng: np.random.Generator) -> FilmPixels:
    """Left and right exchanged.

    Example:
        >>> mirror(np.array([[1, 2, 3]], np.uint8), np.random.default_rng(0)).tolist()
        [[3, 2, 1]]
    """
    return film[:, ::-1]


def turn_3(film: FilmPixels, rng: np.random.Generator) -> FilmPixels:
    """Turned by 3 degrees either way about the middle; the corners that come in are black.

    Example:
        >>> turned = turn_3(np.full((100, 100), 200, np.uint8), np.random.default_rng(0))
        >>> turned.shape, int(turned[50, 50]), int(turned[0, 0])
        ((100, 100), 200, 0)
    """
    height, width = film.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.choice([-3, 3])), 1.0)
    turned = cv2.warpAffine(film, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(turned, dtype=film.dtype)


def turn_90(film: FilmPixels, rng: np.random.Generator) -> FilmPixels:
    """A quarter turn either way.

    Example:
        >>> turn_90(np.zeros((40, 20), np.uint8), np.random.default_rng(0)).shape
        (20, 40)
    """
    return np.rot90(film, int(rng.choice([1, 3])))


def inversion(film: FilmPixels, rng: np.random.Generator) -> FilmPixels:
    """Black for white.

    Example:
        >>> inversion(np.array([[0, 4095, 65535]], np.uint16), np.random.default_rng(0)).tolist()
        [[65535, 61440, 0]]
    """
    return np.asarray(_full_scale(film) - film, dtype=film.dtype)


def _clipped(values: npt.NDArray[np.floating], like: FilmPixels) -> FilmPixels:
    return np.asarray(np.clip(np.rint(values), 0, _full_scale(like)), dtype=like.dtype)


def to_eight_bits(film: FilmPixels) -> npt.NDArray[np.uint8]:
    """The film's upper eight bits.

    Example:
        >>> to_eight_bits(np.array([[255, 256, 65535]], np.uint16)).tolist()
        [[0, 1, 255]]
    """
    return np.asarray(film >> 8 if film.dtype == np.uint16 else film, dtype=np.uint8)


def _write_jpeg_q50(film: FilmPixels, path: Path, rng: np.random.Generator) -> Relation:
    write_jpeg(to_eight_bits(film), path, quality=50)
    return "same_image"


def _write_png(film: FilmPixels, path: Path, rng: np.random.Generator) -> Relation:
    write_png(film, path)
    return "same_pixels"


def _write_png_16bit(film: FilmPixels, path: Path, rng: np.random.Generator) -> Relation:
    write_png(film if film.dtype == np.uint16 else film.astype(np.uint16) * np.uint16(257), path)
    return "same_pixels"


def _write_png_12bit(film: FilmPixels, path: Path, rng: np.random.Generator) -> Relation:
    """0..4095 in 16-bit words, as archives export detectors; a deeper film loses its lowest bits."""
    if film.dtype == np.uint8:
        write_png(film.astype(np.uint16) * np.uint16(16), path)
        return "same_pixels"
    write_png(film >> np.uint16(4), path)
    return "same_image"


def _write_dicom_monochrome1(film: FilmPixels, path: Path, rng: np.random.Generator) -> Relation:
    write_dicom_film(film, path, rng, monochrome1=True)
    return "same_pixels"


def _write_dicom_compressed(film: FilmPixels, path: Path, rng: np.random.Generator) -> Relation:
    write_dicom_film(film, path, rng, compression="jpeg2000" if rng.random() < 0.5 else "rle")
    return "same_pixels"


def _exact(source: Path, film: FilmPixels, stem: Path, rng: np.random.Generator) -> tuple[Path, Relation]:
    path = stem.with_name(stem.name + source.suffix.lower())
    shutil.copyfile(source, path)
    return path, "same_file"


def _changed(
    change: Change,
) -> Apply:
    """The changed picture in a PNG or, of 8 bits, as often in a JPEG of quality 90."""

    def apply(source: Path, film: FilmPixels, stem: Path, rng: np.random.Generator) -> tuple[Path, Relation]:
        altered = np.ascontiguousarray(change(film, rng))
        if altered.dtype == np.uint8 and rng.random() < 0.5:
            path = stem.with_name(stem.name + ".jpg")
            write_jpeg(altered, path, quality=90)
        else:
            path = stem.with_name(stem.name + ".png")
            write_png(altered, path)
        return path, "same_image"

    return apply


def _written(writer: Writer, suffix: str) -> Apply:
    def apply(source: Path, film: FilmPixels, stem: Path, rng: np.random.Generator) -> tuple[Path, Relation]:
        path = stem.with_name(stem.name + suffix)
        return path, writer(np.ascontiguousarray(film), path, rng)

    return apply


_ALL = (
    Alteration("exact", _exact),
    Alteration("jpeg_q50", _written(_write_jpeg_q50, ".jpg")),
    Alteration("half_size", _changed(half_size)),
    Alteration("crop_10", _changed(lambda film, rng: crop(film, rng, 0.10))),
    Alteration("crop_25", _changed(lambda film, rng: crop(film, rng, 0.25))),
    Alteration("brightness", _changed(brightness)),
    Alteration("gamma", _changed(gamma)),
    Alteration("clahe", _changed(clahe)),
    Alteration("mirror", _changed(mirror)),
    Alteration("turn_3", _changed(turn_3)),
    Alteration("turn_90", _changed(turn_90)),
    Alteration("inversion", _changed(inversion)),
    Alteration("png_16bit", _written(_write_png_16bit, ".png")),
    Alteration("png_12bit", _written(_write_png_12bit, ".png")),
    Alteration("dicom_monochrome1", _written(_write_dicom_monochrome1, ".dcm")),
    Alteration("dicom_compressed", _written(_write_dicom_compressed, ".dcm")),
    Alteration("resave_png", _written(_write_png, ".png")),
)

ALTERATIONS: Mapping[str, Alteration] = MappingProxyType({a.name: a for a in _ALL})
"""Every alteration by name, in the order in which tables list them."""
