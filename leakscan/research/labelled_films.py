"""Films of known people, encoded once: what simulated merges are dealt from.

Fingerprints lie in the same stores that ``compare`` keeps, and details beside them, so that a new encoder
or a new detail matcher is measured by calling the same command again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from leakscan.decide.copies.describing import load_pixels
from leakscan.decide.persons.film_details import DetailMatcher
from leakscan.errors import SourceError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.run.context import RunContext
from leakscan.run.opened import load_datasets, open_all
from leakscan.run.places import dataset_names
from leakscan.settings import DecodeOptions
from leakscan.sources.spec import SourceSpec
from leakscan.types import ImageRef

Ints = npt.NDArray[np.int64]

_BATCH = 64  # films described at once


@dataclass(frozen=True)
class LabelledFilms:
    """Films whose people are known.

    Attributes:
        rows: One row a film, schema ``tables.STORE``; only films that were fingerprinted.
        codes: ``(n,)`` the person on each film, from 0.
        groups: ``(people,)`` the number of each person's group, from 0.
        refs: ``(n,)`` the files of the films.
        sources: The number of films of each source, in order.
    """

    rows: pa.Table
    codes: Ints
    groups: Ints
    refs: tuple[ImageRef, ...]
    sources: tuple[int, ...]

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.groups)

    @property
    def counts(self) -> Ints:
        """``(people,)`` the number of films of each."""
        return np.bincount(self.codes, minlength=self.people).astype(np.int64)


def read_films(groups: Sequence[Sequence[str]], context: RunContext) -> LabelledFilms:
    """Fingerprints films, or takes them from the stores of an earlier call.

    Args:
        groups: The manifests of every group of people. A manifest may come with a selection of rows, such as
            ``cxr/nih/manifest.csv?split=val``, and declares its subjects.
        context: The encoders, and the cache that keeps the stores.

    Raises:
        SourceError: A manifest cannot be read, or no film of it has both a fingerprint and a subject.

    Example::

        films = read_films([["adults.csv?split=val"], ["children.csv"]], context)
        films.people, films.counts.max()
    """
    tables, names, group_of, refs = [], [], [], []
    for group, sources in enumerate(groups):
        for source in sources:
            spec = SourceSpec.parse(source)
            opened = open_all([spec], dataset_names([spec]), context.settings)
            (found,) = load_datasets(opened, context)
            rows, subjects = _usable(found)
            if not len(rows):
                raise SourceError(f"No film of {source} has both a fingerprint and a subject.")
            tables.append(rows)
            names += subjects
            group_of += [group] * len(rows)
            refs += [found.refs[i] for i in rows["image_id"].to_pylist()]
    _, first, codes = np.unique(np.array(names), return_index=True, return_inverse=True)
    return LabelledFilms(
        pa.concat_tables(tables).combine_chunks(),
        codes.astype(np.int64),
        np.array(group_of, np.int64)[first],
        tuple(refs),
        tuple(map(len, tables)),
    )


def _usable(found: Dataset) -> tuple[pa.Table, list[str]]:
    """The rows with a fingerprint and a subject, and these subjects in clear."""
    fingerprinted = pc.and_(pc.equal(found.rows["status"], "ok"), pc.is_valid(found.rows["fingerprint"]))
    known = pc.is_in(found.rows["image_id"], pa.array(list(found.subjects), pa.string()))
    rows = found.rows.filter(pc.and_(fingerprinted, known))
    return rows, [found.subjects[i] for i in rows["image_id"].to_pylist()]


class KnownDetails:
    """Details of films, each described when it is first asked for and kept from call to call.

    Every source has a ``.npy`` file, named by the matcher and the films, and one beside it that says which
    films it holds.

    Args:
        films: The films.
        matcher: Describes them.
        folder: Where the files lie.

    Example::

        details = KnownDetails(films, matcher, cache)
        matcher.compare(details.of([0]), details.of([1]))
    """

    def __init__(self, films: LabelledFilms, matcher: DetailMatcher, folder: Path) -> None:
        self._films, self._matcher, self._folder = films, matcher, folder
        self._starts = np.concatenate([[0], np.cumsum(films.sources)])
        self._parts: dict[int, _Details] = {}

    def of(self, films: Sequence[int]) -> npt.NDArray[np.int8]:
        """The details ``(n, ...)`` of some films."""
        at = np.array(films, np.int64)
        source = np.searchsorted(self._starts, at, "right") - 1
        out: list[npt.NDArray[np.int8]] = [np.zeros(0, np.int8)] * len(at)
        for number in np.unique(source).tolist():
            own = np.flatnonzero(source == number)
            for place, found in zip(own.tolist(), self._of(number, at[own]), strict=True):
                out[place] = found
        return np.stack(out)

    def _of(self, source: int, films: Ints) -> npt.NDArray[np.int8]:
        start = int(self._starts[source])
        if source not in self._parts:
            hashes = self._films.rows["pixel_hash"].slice(start, self._films.sources[source]).to_pylist()
            name = blake3("|".join(hashes).encode()).hexdigest()[:12]
            self._parts[source] = _Details(self._folder / f"details-{self._matcher.digest}-{name}.npy")
        part = self._parts[source]
        missing = part.missing(films - start)
        for at in range(0, len(missing), _BATCH):
            batch = missing[at : at + _BATCH]
            seen = np.stack([_canonical(self._films.refs[start + i], self._matcher.side) for i in batch])
            part.keep(batch, self._matcher.describe(seen), self._films.sources[source])
        return np.asarray(part.kept[films - start], np.int8)


class _Details:
    """The details of one source, in a file that fills up."""

    def __init__(self, path: Path) -> None:
        self._path, self._mark = path, path.with_suffix(".known.npy")
        self._known = np.load(self._mark) if self._mark.is_file() else np.zeros(0, np.bool_)

    @cached_property
    def kept(self) -> npt.NDArray[np.int8]:
        """``(films, ...)``, of which some are known."""
        kept: npt.NDArray[np.int8] = np.load(self._path, mmap_mode="r+")
        return kept

    def missing(self, films: Ints) -> list[int]:
        """Which films are not known yet, each once."""
        wanted = np.unique(films)
        return [i for i in wanted.tolist() if i >= len(self._known) or not self._known[i]]

    def keep(self, films: Sequence[int], details: npt.NDArray[np.int8], total: int) -> None:
        if not self._path.is_file():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            np.lib.format.open_memmap(self._path, "w+", np.int8, (total, *details.shape[1:]))
        if not len(self._known):
            self._known = np.zeros(total, np.bool_)
        self.kept[list(films)] = details
        self._known[list(films)] = True
        np.save(self._mark, self._known)


def _canonical(ref: ImageRef, side: int) -> npt.NDArray[np.uint8]:
    film = canonical_radiograph(load_pixels(ref, DecodeOptions()).values, side)
    return np.rint(film * 255).astype(np.uint8)
