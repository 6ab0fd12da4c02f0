"""Makes two datasets with known leaks between them.

Nothing but the pictures tells which files belong together. Names are random, times are equal, and the
order of writing is shuffled. The films of B that are not in A went through the same alterations as the
copies did.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from leakscan.errors import OutputError, SourceError, UsageError
from leakscan.synthetic.alterations import ALTERATIONS
from leakscan.synthetic.writers import FilmPixels
from leakscan.types import Relation

_ONE_TIME = 1_000_000_000
"""Modification time of every planted file, in seconds since 1970."""


@dataclass(frozen=True)
class PlantedCopy:
    """One film of A that stands altered in B; a row of ``truth.csv``.

    Attributes:
        path_a: The file in A, relative to A.
        path_b: The file in B, relative to B.
        alteration: A key of :data:`leakscan.synthetic.alterations.ALTERATIONS`.
        relation: The relation that a correct tool reports at least.
    """

    path_a: str
    path_b: str
    alteration: str
    relation: Relation


@dataclass(frozen=True)
class PlantedTruth:
    """What was planted where.

    Attributes:
        a: The folder of dataset A.
        b: The folder of dataset B.
        copies: The leaks; every other pair of files shows two subjects.
        only_a: The files of A without a copy in B.
        only_b: The files of B that show a film that is not in A.
    """

    a: Path
    b: Path
    copies: tuple[PlantedCopy, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


def read_film(path: Path) -> FilmPixels:
    """Grey pixels ``(height, width)`` of a raster file, 8 or 16 bit as stored, upright.

    Raises:
        SourceError: The file is no picture that Pillow reads.

    Example:
        >>> Image.fromarray(np.array([[0, 4095]], np.uint16)).save("film.png")
        >>> read_film(Path("film.png"))
        array([[   0, 4095]], dtype=uint16)
    """
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I;16"):
                return np.asarray(upright).astype(np.uint16)
            return np.asarray(upright.convert("L"), dtype=np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise SourceError(f"{path} is no picture that leaks can be planted with: {error}.") from error


def plant(
    films: Sequence[Path],
    out: Path,
    copies: int,
    seed: int,
    *,
    kinds: Sequence[str] = tuple(ALTERATIONS),
    only_b_share: float = 0.1,
) -> PlantedTruth:
    """Makes ``out/A``, ``out/B`` and ``out/truth.csv`` from films of as many different subjects.

    A tenth of the films goes to B alone; the others are A, byte for byte. Of every kind of
    alteration B gets ``copies`` different films of A; one film may come back in several kinds. The
    films that are B's own are each altered once, in a kind drawn at random.

    Args:
        films: Raster files, one per subject; their order does not matter.
        out: The folder to make.
        copies: The number of altered films per kind.
        seed: The seed of all draws; equal seeds and films give equal files.
        kinds: The alterations to use.
        only_b_share: The share of the films that B has for itself.

    Raises:
        UsageError: There are too few films, or there is no such alteration.
        SourceError: A film cannot be read.
        OutputError: ``out`` has something in it.

    Example::

        truth = plant(sorted(Path("films").glob("*.png")), Path("planted"), copies=1, seed=0)
        truth.copies[0].relation  # 'same_file'
    """
    if unknown := [kind for kind in kinds if kind not in ALTERATIONS]:
        raise UsageError(f"There is no alteration {unknown[0]!r}.", hint="Known: " + ", ".join(ALTERATIONS))
    n_only_b = round(len(films) * only_b_share)
    if copies < 1 or len(films) - n_only_b < copies:
        raise UsageError(
            f"{copies} copies of each kind need at least that many films in A; "
            f"{len(films)} films leave {len(films) - n_only_b}."
        )
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} is not empty.", hint="Name a new folder.")
    a, b = out / "A", out / "B"
    a.mkdir(parents=True)
    b.mkdir()

    rng = np.random.default_rng(seed)
    shuffled = [sorted(films)[i] for i in rng.permutation(len(films))]
    own, shared = shuffled[:n_only_b], shuffled[n_only_b:]
    names = _names(rng)
    in_a = {film: f"{next(names)}{film.suffix.lower()}" for film in shared}
    for film, name in in_a.items():
        (a / name).write_bytes(film.read_bytes())

    jobs: list[tuple[Path, str]] = [(film, str(rng.choice(list(kinds)))) for film in own]
    for kind in kinds:
        jobs += [(shared[i], kind) for i in rng.choice(len(shared), copies, replace=False)]
    planted: list[PlantedCopy] = []
    only_b: list[str] = []
    for i in rng.permutation(len(jobs)):
        film, kind = jobs[i]
        path, relation = ALTERATIONS[kind].apply(film, read_film(film), b / next(names), rng)
        if film in in_a:
            planted.append(PlantedCopy(in_a[film], path.name, kind, relation))
        else:
            only_b.append(path.name)
    for path in (*a.iterdir(), *b.iterdir()):
        os.utime(path, (_ONE_TIME, _ONE_TIME))

    planted.sort(key=lambda copy: (list(kinds).index(copy.alteration), copy.path_a, copy.path_b))
    copied = {copy.path_a for copy in planted}
    only_a = tuple(sorted(name for name in in_a.values() if name not in copied))
    truth = PlantedTruth(a, b, tuple(planted), only_a, tuple(sorted(only_b)))
    _write_truth(truth.copies, out / "truth.csv")
    return truth


def _names(rng: np.random.Generator) -> Iterator[str]:
    """Sixteen random hexadecimal digits, again and again; two equal names will hardly come."""
    while True:
        yield rng.bytes(8).hex()


def _write_truth(copies: Iterable[PlantedCopy], path: Path) -> None:
    """Writes the leaks as CSV with the columns ``path_a``, ``path_b``, ``alteration`` and ``relation``."""
    columns = [column.name for column in fields(PlantedCopy)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(copy, column) for column in columns] for copy in copies)
