"""Fingerprint stores of films that nobody took, for runs too large for real ones.

Fingerprints and perceptual hashes are drawn from statistics of real films
(:mod:`leakscan.synthetic.film_statistics`); some people stand in both stores, and of some films a turned
copy does. There are no pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leakscan import tables
from leakscan.fingerprint.hashing import PHASH_BITS, film_orientations
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.synthetic.film_statistics import FilmStatistics

FAMILIES = ((3e-2, 0.40), (2e-3, 0.25), (1e-4, 0.25))
"""People who look alike: the chance that two strangers share a family, and the share of the differences
between people that a family has in common. A normal distribution alone has too light a tail: with these the
similarities of strangers are those of real films within 0.05 down to a false match rate of 1e-4."""
_UNSTEADY = (
    0.6  # how much the differences between films of one person vary, as a deviation of their logarithm
)
_FILMS = (0.7, 0.2, 0.1)  # the shares of people with one, two and three films in a store
_BITS_OF_A_COPY = 0.02  # of a hash that a copy changes
_BLOCK = 1 << 16

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MadeUpStores:
    """Two stores and what they share.

    Attributes:
        a: The folder of one store.
        b: The folder of the other.
        people: ``(k, 2)`` images of people who stand in both, as places in A and in B.
        copies: ``(c, 2)`` films of A and turned copies of them in B, likewise.
    """

    a: Path
    b: Path
    people: Ints
    copies: Ints


def draw_stores(
    folder: Path, films: int, encoder: str, shared: int, copies: int, seed: int = 0
) -> MadeUpStores:
    """Writes two stores.

    Args:
        folder: The folder that receives ``a.fps`` and ``b.fps``.
        films: The number of films in each.
        encoder: The encoder that the fingerprints are said to come from, as name@digest.
        shared: The number of people who have one film in each store.
        copies: The number of films of A of which B holds a turned copy.
        seed: The seed of all draws.

    Example:
        >>> stores = draw_stores(Path("drawn"), films=50, encoder="cxr-lite0@1", shared=3, copies=2)
        >>> len(Store.open(stores.a).load()), stores.people.tolist()
        (50, [[0, 0], [1, 1], [2, 2]])
    """
    drawer = _Drawer(FilmStatistics.read(), encoder, seed)
    person, signs = drawer.people(shared), drawer.signs(copies)
    for side, name in enumerate("ab"):
        store = Store.create(folder / f"{name}.fps", StoreInfo(dataset=name, key_id=f"made up {name}"))
        both = _Films(drawer.films(person), drawer.signs(shared), np.arange(shared, dtype=np.int64))
        first = both + drawer.copied(signs, turned=side == 1)
        for number, block in enumerate(drawer.blocks(films - shared - copies)):
            store.append_table(drawer.rows(name, number, first + block if number == 0 else block))
    at = np.arange(max(shared, copies))
    return MadeUpStores(
        a=folder / "a.fps",
        b=folder / "b.fps",
        people=np.stack([at[:shared]] * 2, axis=1),
        copies=np.stack([at[:copies] + shared] * 2, axis=1),
    )


@dataclass(frozen=True)
class _Films:
    """Films of one store: ``(n, d)`` fingerprints, ``(n, 64)`` bits, ``(n,)`` people."""

    prints: Floats
    signs: npt.NDArray[np.bool_]
    person: Ints

    def __add__(self, other: _Films) -> _Films:
        last = int(self.person.max(initial=-1)) + 1
        return _Films(
            np.concatenate([self.prints, other.prints]),
            np.concatenate([self.signs, other.signs]),
            np.concatenate([self.person, other.person + last]),
        )


class _Drawer:
    """Draws people, their films, and rows of a store."""

    def __init__(self, statistics: FilmStatistics, encoder: str, seed: int) -> None:
        self._statistics, self._encoder = statistics, encoder
        self._rng = np.random.default_rng(seed)
        self._families = [
            (np.sqrt(share) * statistics.between.draw(self._rng, round(1 / chance))).astype(np.float32)
            for chance, share in FAMILIES
        ]
        self._own = np.float32(np.sqrt(1.0 - sum(share for _, share in FAMILIES)))

    def people(self, n: int) -> Floats:
        """``(n, d)`` what the films of people have in common."""
        out = self._own * self._statistics.between.draw(self._rng, n)
        out += self._statistics.mean.astype(np.float32)
        for family in self._families:
            out += family[self._rng.integers(0, len(family), n)]
        return out

    def films(self, people: Floats) -> Floats:
        """``(n, d)`` one fingerprint of each of the people."""
        unsteady = np.exp(self._rng.normal(-(_UNSTEADY**2), _UNSTEADY, (len(people), 1))).astype(np.float32)
        drawn = people + unsteady * self._statistics.within.draw(self._rng, len(people))
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)

    def signs(self, n: int) -> npt.NDArray[np.bool_]:
        """``(n, 64)`` bits of the perceptual hashes of films."""
        latent = self._statistics.common.draw(self._rng, n)
        out = np.zeros((n, PHASH_BITS + 1), np.bool_)
        out[:, 1:] = latent > self._statistics.threshold.astype(np.float32)
        return out

    def copied(self, signs: npt.NDArray[np.bool_], turned: bool) -> _Films:
        """Films with these bits; turned, they have those of the film upside down and a few errors.

        The encoder does not know a turned film again: its fingerprint is that of somebody else.
        """
        bits = signs
        if turned:
            odd = np.arange(8) % 2 == 1
            bits = signs.reshape(-1, 8, 8) ^ odd[:, None]
            bits = bits.reshape(-1, 64) ^ (self._rng.random(signs.shape) < _BITS_OF_A_COPY)
            bits[:, 0] = False
        return _Films(self.films(self.people(len(bits))), bits, np.arange(len(bits), dtype=np.int64))

    def blocks(self, films: int) -> Iterator[_Films]:
        """Films of people whom only this store holds, a block at a time."""
        for start in range(0, max(films, 1), _BLOCK):
            size = min(_BLOCK, films - start)
            number = 1 + self._rng.choice(len(_FILMS), size, p=_FILMS)
            person = np.repeat(np.arange(size), number)[:size]
            people = self.people(size)
            yield _Films(self.films(people[person]), self.signs(size), person)

    def rows(self, name: str, block: int, films: _Films) -> pa.Table:
        """Rows of the schema ``tables.STORE``."""
        n, dim = films.prints.shape
        hashes = film_orientations(films.signs)
        columns: dict[str, pa.Array] = {
            "image_id": _numbered(f"{name}{block:04x}", np.arange(n)),
            "path": _numbered(f"{name}/{block:04x}/", np.arange(n)),
            "format": pa.repeat("png", n),
            "kind": pa.repeat("chest_radiograph", n),
            "file_hash": self._drawn_hash("", n),
            "pixel_hash": self._drawn_hash("px1:", n),
            "subject": _numbered(f"{name}{block:04x}", films.person),
            "status": pa.repeat("ok", n),
            "encoder": pa.repeat(self._encoder, n),
            "fingerprint": pa.ListArray.from_arrays(
                np.arange(n + 1, dtype=np.int32) * dim, films.prints.astype(np.float16).ravel()
            ),
            "phash": pa.FixedSizeListArray.from_arrays(pa.array(hashes.ravel()), tables.ORIENTATIONS),
            "prepared_with": pa.repeat("made up", n),
        }
        return pa.table(
            [
                columns[f.name].cast(f.type) if f.name in columns else pa.nulls(n, f.type)
                for f in tables.STORE
            ],
            schema=tables.STORE,
        )

    def _drawn_hash(self, prefix: str, n: int) -> pa.Array:
        """``(n,)`` strings of 64 hexadecimal digits that nothing else has."""
        letters = np.empty((n, len(prefix) + 64), np.uint8)
        letters[:, : len(prefix)] = np.frombuffer(prefix.encode(), np.uint8)
        digits = np.frombuffer(b"0123456789abcdef", np.uint8)
        letters[:, len(prefix) :] = digits[self._rng.integers(0, 16, (n, 64))]
        return _strings(letters)


def _numbered(prefix: str, numbers: Ints) -> pa.Array:
    """Names that are a prefix and eight hexadecimal digits."""
    letters = np.empty((len(numbers), len(prefix) + 8), np.uint8)
    letters[:, : len(prefix)] = np.frombuffer(prefix.encode(), np.uint8)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    letters[:, len(prefix) :] = digits[(numbers[:, None] >> np.arange(28, -4, -4)) & 15]
    return _strings(letters)


def _strings(letters: npt.NDArray[np.uint8]) -> pa.Array:
    """The rows of a table of letters as strings."""
    n, width = letters.shape
    ends = pa.py_buffer(np.arange(n + 1, dtype=np.int32) * np.int32(width))
    return pa.StringArray.from_buffers(n, ends, pa.py_buffer(np.ascontiguousarray(letters)))
