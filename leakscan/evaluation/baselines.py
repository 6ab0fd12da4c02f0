"""The perceptual hash that other tools use, as the figure that leakscan's own stands beside.

It shares no code with leakscan's fingerprints. It is kinder than the tools it stands for: it reads
DICOM, turns MONOCHROME1 the right way and spreads deep pixels over eight bits instead of clipping
them. Like them, it knows no flips, no turns, no negatives and no crops.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image, UnidentifiedImageError
from pydicom.errors import InvalidDicomError
from scipy.fft import dctn

from leakscan.types import Relation

_SIDE, _KEPT = 32, 8
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class BaselinePairs:
    """What the baseline reports.

    Attributes:
        pairs: ``(path_a, path_b, relation)``, paths relative to their folders, sorted; a hash says
            ``same_image`` and no more.
        unread: The files of both folders that could not be decoded.
    """

    pairs: tuple[tuple[str, str, Relation], ...]
    unread: tuple[Path, ...]


def phash_pairs(dir_a: Path, dir_b: Path, max_distance: int = 10) -> BaselinePairs:
    """Pairs of files whose 64-bit hashes differ in few bits.

    Args:
        dir_a: The folder of dataset A.
        dir_b: The folder of dataset B.
        max_distance: The largest number of bits that may differ. Ten is the default of imagededup, and
            the usual advice for this hash.

    Example:
        >>> film = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
        >>> for folder, pixels in (("A", film), ("B", film // 2)):
        ...     Path(folder).mkdir()
        ...     Image.fromarray(pixels).save(Path(folder, "film.png"))
        >>> phash_pairs(Path("A"), Path("B")).pairs  # half as bright, and found
        (('film.png', 'film.png', 'same_image'),)
    """
    unread: list[Path] = []
    names_a, bits_a = _hash_folder(dir_a, unread)
    names_b, bits_b = _hash_folder(dir_b, unread)
    pairs: list[tuple[str, str, Relation]] = []
    for start in range(0, len(names_a), _ROWS_AT_ONCE):
        # With bits as -1 and 1, 64 minus the inner product is twice the Hamming distance.
        distance = (64 - bits_a[start : start + _ROWS_AT_ONCE] @ bits_b.T) / 2
        for i, j in np.argwhere(distance <= max_distance):
            pairs.append((names_a[start + i], names_b[j], "same_image"))
    return BaselinePairs(tuple(sorted(pairs)), tuple(unread))


def phash(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """64 bits of a grey picture ``(height, width)``: low frequencies above their median.

    DCT-II of the picture at 32 x 32, the 8 x 8 lowest frequencies, as in C. Zauner,
    "Implementation and benchmarking of perceptual image hash functions" (2010), 3.2.1, with the
    median over all 64 as the common implementations have it.

    Example:
        >>> film = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
        >>> half_as_bright, mirrored = film // 2, film[:, ::-1]
        >>> [int((phash(film) != phash(other)).sum()) <= 10 for other in (half_as_bright, mirrored)]
        [True, False]
    """
    small = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(small, dtype=np.float64), type=2)[:_KEPT, :_KEPT]
    return np.asarray((low > np.median(low)).ravel(), dtype=np.bool_)


def _hash_folder(folder: Path, unread: list[Path]) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Relative names and their hashes ``(n, 64)`` as -1 and 1."""
    names: list[str] = []
    hashes: list[npt.NDArray[np.float32]] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            bits = phash(_eight_bits(path))
        except (OSError, UnidentifiedImageError, InvalidDicomError, ValueError, AttributeError):
            unread.append(path)
            continue
        names.append(path.relative_to(folder).as_posix())
        hashes.append(np.where(bits, 1.0, -1.0).astype(np.float32))
    return names, np.array(hashes, dtype=np.float32).reshape(len(names), 64)


def _eight_bits(path: Path) -> npt.NDArray[np.uint8]:
    if path.suffix.lower() in {".dcm", ".dicom"}:
        ds = pydicom.dcmread(path)
        values = ds.pixel_array.astype(np.float64)
        if ds.PhotometricInterpretation == "MONOCHROME1":
            values = -values
    else:
        with Image.open(path) as opened:
            if not opened.mode.startswith(("I", "F")):
                return np.asarray(opened.convert("L"), dtype=np.uint8)
            values = np.asarray(opened, dtype=np.float64)
    low, high = values.min(), values.max()
    return np.asarray((values - low) / max(high - low, 1e-9) * 255, dtype=np.uint8)
