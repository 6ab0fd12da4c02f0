"""Hashes that find copies without an encoder: of the file, of the pixels, of the layout.

None of them leaves anything to chance: the same input gives the same hash on every system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import permutations, product

import cv2
import numpy as np
import numpy.typing as npt
from blake3 import blake3

from leakscan.fingerprint.preprocess.grey_range import grey_range, stretched
from leakscan.fingerprint.preprocess.radiograph import trim_frame
from leakscan.sources.contents import REMOTE, compressed_file, mark_of, open_place

PIXEL_HASH_VERSION = "px1"
PHASH_BITS = 63
"""Signs compared: an 8 x 8 (or 4 x 4 x 4) block of DCT coefficients without the mean."""

ORIENTATIONS_2D = ("", "hflip", "vflip", "rot180", "transpose", "rot90", "rot270", "transverse")
ORIENTATIONS_3D = (
    "",
    "flip-z",
    "flip-y",
    "flip-y+flip-z",
    "flip-x",
    "flip-x+flip-z",
    "flip-x+flip-y",
    "flip-x+flip-y+flip-z",
)

_SPAN_FOR_TABLE = 1 << 20  # up to this many grey levels the gcd comes from a presence table
_AT_ONCE = 1 << 22  # numbers
_FILM_SIDE = 32
_VOLUME_SIDE = 16


def file_hash(files: Iterable[str]) -> str:
    """blake3 of a file's bytes, or for a series of the sorted hashes of its files.

    Raises:
        OSError: A file cannot be read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("film.png").write_bytes(b"pixels")
        >>> file_hash(["film.png"])[:12]
        'de6a7900b92a'
    """
    digests = sorted(_digest(name) for name in files)
    return digests[0] if len(digests) == 1 else blake3("\n".join(digests).encode()).hexdigest()


def pixel_hash(stored: npt.NDArray[np.generic]) -> str:
    """Hash of the picture itself, whatever container and integer depth hold it.

    The stored integers lose their minimum and the greatest common divisor of their differences, so
    that 8-bit, x257 16-bit and x16 12-bit copies agree.

    Args:
        stored: ``DecodedImage.stored``.

    Returns:
        ``px1:`` and a blake3 hex digest.

    Example:
        >>> shallow = np.array([[0, 3], [7, 255]], np.uint8)
        >>> pixel_hash(shallow) == pixel_hash(shallow.astype(np.uint16) * 257)
        True
    """
    values, shape = _reduced(stored), repr(stored.shape).encode()
    return f"{PIXEL_HASH_VERSION}:{blake3(shape + values.tobytes()).hexdigest()}"


def is_blank(stored: npt.NDArray[np.generic]) -> bool:
    """Whether a picture is constant.

    Example:
        >>> is_blank(np.full((4, 4), 7)), is_blank(np.eye(4))
        (True, False)
    """
    return bool(stored.size == 0 or (stored == stored.flat[0]).all())


def perceptual_hashes(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint64]:
    """Hashes of the coarse layout of a picture or volume, under its eight flips (and, in 2D, turns).

    The hash is the signs of the lowest DCT coefficients. A flip only changes the sign of the odd
    frequencies along its axis and a transposition swaps the axes, so one transform serves all
    eight, and the hash of the inverted picture is the complement (:func:`hamming`).

    Args:
        values: ``(height, width)`` or ``(x, y, z)``, finite.

    Returns:
        ``(8,)`` uint64 in the order of ``ORIENTATIONS_2D`` or ``ORIENTATIONS_3D``.

    Example:
        >>> picture = np.random.default_rng(0).random((64, 48), np.float32)
        >>> upright, mirrored = perceptual_hashes(picture), perceptual_hashes(picture[:, ::-1])
        >>> int(hamming(upright, mirrored[ORIENTATIONS_2D.index("hflip")])[0])
        0
    """
    if values.ndim == 2:
        block = _film_spectrum(values)
        signs = [
            [(-1.0) ** (np.arange(8) * flip) for flip in (v, h)] for v, h in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        flipped = [block * rows[:, None] * columns[None, :] for rows, columns in signs]
        turned = [f.T for f in flipped]
        return np.array([_bits(b) for b in flipped + turned], np.uint64)
    block = _volume_spectrum(values)
    parity = (-1.0) ** np.arange(4)
    ones = np.ones(4)
    out = []
    for flips in product((False, True), repeat=3):
        x, y, z = (parity if flip else ones for flip in flips)
        out.append(_bits(block * x[:, None, None] * y[None, :, None] * z[None, None, :]))
    return np.array(out, np.uint64)


def axes_exchanged(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The hashes that volumes would have with their axes in another order.

    The block of coefficients turns as the volume does, and so do its signs: no pixels are needed.

    Args:
        hashes: ``(n,)`` of volumes.

    Returns:
        ``(n, 6)``, the first as given. With the eight flips these are all 48 orientations.

    Example:
        >>> head = np.random.default_rng(0).random((16, 16, 16), np.float32)
        >>> turned = perceptual_hashes(head.transpose(2, 0, 1))[:1]
        >>> bool(np.isin(turned, axes_exchanged(perceptual_hashes(head)[:1])).any())
        True
    """
    big = np.ascontiguousarray(hashes, ">u8").view(np.uint8).reshape(-1, 8)
    signs = np.unpackbits(big, axis=1).reshape(-1, 4, 4, 4)
    turned = [signs.transpose(0, *(1 + axis for axis in order)) for order in permutations(range(3))]
    packed = np.packbits(np.stack(turned, axis=1).reshape(len(signs), 6, 64), axis=2)
    return packed.view(">u8").reshape(len(signs), 6).astype(np.uint64)


def hamming(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Differing bits of perceptual hashes, an inverted picture counting as the same (0..31).

    Example:
        >>> hashes = np.array([0b0, 0b101, 2**63 - 1], np.uint64)  # the last is the first, inverted
        >>> hamming(hashes[0], hashes).tolist()
        [0, 2, 0]
    """
    differing = np.bitwise_count(np.bitwise_xor(a, b)).astype(np.uint8)
    return np.minimum(differing, PHASH_BITS - differing).astype(np.uint8)


def _digest(place: str) -> str:
    """The hash of one file. Of a file of many frames it is asked for with each of them."""
    return _fresh_digest(place) if place.startswith(REMOTE) else _digest_as_of(place, mark_of(place))


@lru_cache(maxsize=1)
def _digest_as_of(place: str, mark: str) -> str:
    return _fresh_digest(place)


def _fresh_digest(place: str) -> str:
    hasher = blake3()
    # Of a file that is compressed as a whole, the bytes that lie on the disk.
    with open_place(compressed_file(place)) as f:
        while chunk := f.read(1 << 20):
            hasher.update(chunk)
    return hasher.hexdigest()


def _reduced(stored: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    array = np.ascontiguousarray(stored)
    if array.dtype.kind == "f":
        array = np.nan_to_num(array.astype("<f8"))
        if not (np.abs(array) < 2**52).all() or not (array == np.rint(array)).all():
            return np.asarray(array)
        array = array.astype(np.int64)
    if array.size == 0:
        return array.astype("<u1")
    low, high = int(array.min()), int(array.max())
    if array.dtype == np.uint8:
        return _reduced_bytes(array, low)
    span = high - low
    if span < _SPAN_FOR_TABLE:
        present = np.zeros(span + 1, bool)
        for part in _parts(array):
            present[_shifted(part, low).astype(np.int64)] = True
        differences = np.flatnonzero(present)
    else:
        differences = np.unique(_shifted(array.ravel(), low))
    divisor = int(np.gcd.reduce(differences)) or 1
    top = span // divisor
    dtype = "<u1" if top < 1 << 8 else "<u2" if top < 1 << 16 else "<u4" if top < 1 << 32 else "<u8"
    reduced = np.empty(array.size, dtype)
    at = 0
    for part in _parts(array):
        numbers = _shifted(part, low)
        reduced[at : at + part.size] = numbers // np.uint64(divisor) if divisor > 1 else numbers
        at += part.size
    return reduced.reshape(array.shape)


def _reduced_bytes(array: npt.NDArray[np.uint8], low: int) -> npt.NDArray[np.uint8]:
    """The same of bytes, as most pictures are, in a third of the time."""
    shifted = array - np.uint8(low)
    present = cv2.calcHist([shifted.reshape(1, -1)], [0], None, [256], [0, 256])
    divisor = int(np.gcd.reduce(np.flatnonzero(present))) or 1
    return shifted // np.uint8(divisor) if divisor > 1 else shifted


def _parts(array: npt.NDArray[np.generic]) -> Iterator[npt.NDArray[np.generic]]:
    """An array bit by bit: as 64-bit numbers a large one would take eight times its memory and more."""
    flat = array.ravel()
    for at in range(0, flat.size, _AT_ONCE):
        yield flat[at : at + _AT_ONCE]


def _shifted(numbers: npt.NDArray[np.generic], low: int) -> npt.NDArray[np.uint64]:
    """Numbers less their lowest one. Wrapping arithmetic: the differences may not fit into a signed one."""
    shifted: npt.NDArray[np.uint64] = numbers.astype(np.uint64) - np.uint64(low % 2**64)
    return shifted


def _film_spectrum(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    import scipy.fft  # a run that reads nothing does not wait for it

    if max(values.shape) > 256:
        scale = 256 / max(values.shape)
        size = tuple(max(1, round(s * scale)) for s in values.shape[::-1])
        values = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
    low, high = grey_range(values)
    film = trim_frame(stretched(values, low, max(high - low, 1e-12)))
    small = cv2.resize(film, (_FILM_SIDE, _FILM_SIDE), interpolation=cv2.INTER_AREA)
    spectrum: npt.NDArray[np.float64] = scipy.fft.dctn(small.astype(np.float64))[:8, :8]
    return spectrum


def _volume_spectrum(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    import scipy.fft

    # Cropping to the head's box first makes the hash blind to the field of view.
    occupied = values > np.percentile(values, 99.0) * 0.15
    if occupied.any():
        box = tuple(
            slice(int(np.argmax(line)), len(line) - int(np.argmax(line[::-1])))
            for line in (np.asarray(occupied.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1)))
        )
        values = values[box]
    for axis in range(3):
        values = _block_mean(values, axis, _VOLUME_SIDE)
    spectrum: npt.NDArray[np.float64] = scipy.fft.dctn(values.astype(np.float64))[:4, :4, :4]
    return spectrum


def _block_mean(values: npt.NDArray[np.float32], axis: int, n: int) -> npt.NDArray[np.float32]:
    """Resamples one axis to ``n`` bins by averaging what falls into each."""
    length = values.shape[axis]
    edges = np.linspace(0, length, n + 1)
    total = np.concatenate(
        [np.zeros_like(values.take([0], axis), np.float64), np.cumsum(values, axis, np.float64)], axis
    )
    at = np.minimum(edges.astype(int), length - 1)
    shape = [1] * values.ndim
    shape[axis] = n + 1
    fraction = (edges - at).reshape(shape)
    cumulative = total.take(at, axis) * (1 - fraction) + total.take(at + 1, axis) * fraction
    return np.asarray(np.diff(cumulative, axis=axis) / (length / n), np.float32)


def _bits(block: npt.NDArray[np.float64]) -> int:
    signs = block.ravel()[1:] > 0
    return int(np.packbits(np.concatenate([[False], signs])).view(">u8")[0])


def hash_signs(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """The 64 bits of perceptual hashes, in the order of the coefficients; the first is never set.

    Args:
        hashes: ``(n,)`` hashes.

    Returns:
        ``(n, 64)`` bool.

    Example:
        >>> hash_signs(np.array([5], np.uint64))[0, -3:].tolist()
        [True, False, True]
    """
    big = np.ascontiguousarray(hashes, ">u8").view(np.uint8).reshape(-1, 8)
    return np.unpackbits(big, axis=1).astype(np.bool_)


def film_orientations(signs: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Perceptual hashes of films in all orientations, from the bits of the upright ones.

    A flip turns the signs of the odd frequencies along its axis, a turn exchanges the axes: no pixels are
    needed.

    Args:
        signs: ``(n, 64)`` bool, as :func:`hash_signs` gives them.

    Returns:
        ``(n, 8)`` uint64 in the order of ``ORIENTATIONS_2D``.

    Example:
        >>> film = perceptual_hashes(np.random.default_rng(0).random((64, 48), np.float32))
        >>> bool((film_orientations(hash_signs(film[:1])) == film).all())
        True
    """
    block = signs.reshape(-1, 8, 8)
    odd = np.arange(8) % 2 == 1
    out = np.empty((len(block), 8), np.uint64)
    for number, (vertical, horizontal) in enumerate(product((False, True), repeat=2)):
        turned = block ^ (vertical & odd)[:, None] ^ (horizontal & odd)[None, :]
        for place, bits in ((number, turned), (number + 4, turned.transpose(0, 2, 1))):
            flat = bits.reshape(-1, 64).copy()
            flat[:, 0] = False
            out[:, place] = np.packbits(flat, axis=1).view(">u8").ravel()
    return out
