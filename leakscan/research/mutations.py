"""Damages good files in ways that disks, networks and strangers do: bits, fields, lengths, pieces.

Every mutant depends on a seed and its own number only, so that one that did harm can be made again.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62)


@dataclass(frozen=True)
class Mutant:
    """One damaged file.

    Attributes:
        number: Its place in the sequence.
        name: The name of the good file.
        data: Its bytes.
        ways: How it was damaged, one word for each way.
        beside: Files that lie beside it and are good: the voxels of a header, the other slices of a series.
    """

    number: int
    name: str
    data: bytes
    ways: tuple[str, ...]
    beside: tuple[tuple[str, bytes], ...] = ()

    def laid(self, folder: Path) -> Path:
        """Writes it, and what lies beside it, into a folder.

        Args:
            folder: An empty folder.

        Returns:
            The damaged file.

        Example:
            >>> Mutant(0, "mhd~head.raw", b"", (), (("mhd~head.mhd", b"NDims = 3"),)).laid(Path()).name
            'head.raw'
        """
        for name, data in ((self.name, self.data), *self.beside):
            (folder / name.rpartition("~")[2]).write_bytes(data)
        return folder / self.name.rpartition("~")[2]


def mutants(count: int, seed: int, files: Mapping[str, bytes]) -> Iterator[Mutant]:
    """Damaged files, every kind in turn.

    Args:
        count: How many.
        seed: The seed of all draws; a mutant depends on it and on its number only.
        files: The good files, by name. Those that share their name up to a ``~`` lie beside each other.

    Example:
        >>> one, other = (next(mutants(1, 7, {"film.png": b"pixels"})) for _ in range(2))
        >>> one == other
        True
    """
    names = sorted(files)
    for number in range(count):
        random = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        data, ways = files[name], []
        for _ in range(int(random.integers(1, 4))):
            way = _WAYS[int(random.integers(len(_WAYS)))]
            other = files[names[int(random.integers(len(names)))]]
            data = _inside(name, data, partial(way, random=random, other=other), random)
            ways.append(way.__name__.lstrip("_"))
        yield Mutant(number, name, data, tuple(ways), beside(name, files))


def beside(name: str, files: Mapping[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    """The files that belong to the same image as one does.

    Args:
        name: The name of the one.
        files: All good files, by name.

    Example:
        >>> beside("mhd~head.mhd", {"mhd~head.mhd": b"", "mhd~head.raw": b"7", "film.png": b""})
        (('mhd~head.raw', b'7'),)
    """
    family, several, _ = name.partition("~")
    return tuple(
        (other, files[other])
        for other in sorted(files)
        if several and other != name and other.startswith(f"{family}~")
    )


def _inside(name: str, data: bytes, change: Callable[[bytes], bytes], random: np.random.Generator) -> bytes:
    """Damages a file, or in half of the cases what is compressed in it."""
    if random.integers(2):
        try:
            if data[:2] == b"\x1f\x8b":
                return gzip.compress(change(gzip.decompress(data)), mtime=0)
            if data[:4] == b"PK\3\4":
                return _zip_again(data, change)
        except Exception:  # it was damaged before
            return change(data)
    return change(data)


def _zip_again(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w") as after:
        for info in before.infolist():
            after.writestr(info.filename, change(before.read(info)))
    return out.getvalue()


def _place(data: bytes, random: np.random.Generator) -> int:
    """A place in a file: in its first kilobyte half of the time, where headers are."""
    most = len(data) if random.integers(2) else min(len(data), 1024)
    return int(random.integers(max(most, 1)))


def _flip(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(int(random.integers(1, 9)) if out else 0):
        out[_place(data, random)] ^= 1 << int(random.integers(8))
    return bytes(out)


def _overwrite(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    at = _place(data, random)
    noise = random.integers(0, 256, int(random.integers(1, 17)), dtype=np.uint8).tobytes()
    return data[:at] + noise + data[at + len(noise) :]


def _extreme(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    value = _EXTREMES[int(random.integers(len(_EXTREMES)))]
    width = "BHIQ"[int(random.integers(4))]
    size = struct.calcsize(width)
    field = struct.pack("<>"[int(random.integers(2))] + width, value & ((1 << 8 * size) - 1))
    at = _place(data, random)
    return data[:at] + field + data[at + size :]


def _cut(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    return data[: int(random.integers(len(data) + 1))]


def _drop(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + int(random.integers(1, 65)) :]


def _double(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    at = _place(data, random)
    part = data[at : at + int(random.integers(1, 513))]
    return data[:at] + part * int(random.integers(2, 9)) + data[at + len(part) :]


def _splice(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    return data[: _place(data, random)] + other[_place(other, random) :]


def _digits(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    """Makes a number in a text enormous, negative, or none."""
    places = [i for i, byte in enumerate(data[:4096]) if 48 <= byte < 58]
    if not places:
        return _extreme(data, random, other)
    at = places[int(random.integers(len(places)))]
    words = (b"99999999999999999999", b"-1", b"1e999", b"NaN", b"", b"0", b"\xff", b"null")
    return data[:at] + words[int(random.integers(len(words)))] + data[at + 1 :]


_WAYS = (_flip, _overwrite, _extreme, _extreme, _cut, _drop, _double, _splice, _digits)
