"""Films of known people, encoded once: what simulated merges are dealt from.

Fingerprints lie in the same stores that ``compare`` keeps, and details beside them, so that a new encoder
or a new detail matcher is measured by calling the same command again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from leakscan.decide.copies.copy_check import load_pixels
from leakscan.errors import SourceError
from leakscan.fingerprint.encoders.film.detail_matcher import FilmDetailMatcher
from leakscan.fingerprint.pipeline import Dataset
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.run.compare import load_datasets, open_all
from leakscan.run.context import RunContext
from leakscan.run.places import dataset_names
from leakscan.settings import DecodeOptions
from leakscan.sources.spec import SourceSpec
from leakscan.types import ImageRef, Progress
from leakscan.writable import written_whole

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
    """Details of films, described source by source when the first film of one is asked for.

    Each source has a ``.npy`` file, named by the matcher and the films.

    Args:
        films: The films.
        matcher: Describes them.
        folder: Where the files lie.
        progress: Receives how far the work is.

    Example::

        details = KnownDetails(films, matcher, cache, progress)
        matcher.compare(details.of([0]), details.of([1]))
    """

    def __init__(
        self, films: LabelledFilms, matcher: FilmDetailMatcher, folder: Path, progress: Progress
    ) -> None:
        self._films, self._matcher, self._folder, self._progress = films, matcher, folder, progress
        self._starts = np.concatenate([[0], np.cumsum(films.sources)])
        self._parts: dict[int, npt.NDArray[np.float16]] = {}

    def of(self, films: Sequence[int]) -> npt.NDArray[np.float16]:
        """The details ``(n, ...)`` of some films."""
        at = np.array(films, np.int64)
        source = np.searchsorted(self._starts, at, "right") - 1
        rows = [self._part(s)[i - self._starts[s]] for s, i in zip(source.tolist(), at.tolist(), strict=True)]
        return np.stack(rows)

    def _part(self, source: int) -> npt.NDArray[np.float16]:
        """The details of all films of a source."""
        if source not in self._parts:
            own = range(*self._starts[source : source + 2].tolist())
            hashes = self._films.rows["pixel_hash"].slice(own.start, len(own)).to_pylist()
            name = blake3("|".join(hashes).encode()).hexdigest()[:12]
            path = self._folder / f"details-{self._matcher.digest}-{name}.npy"
            if not path.is_file():
                self._describe([self._films.refs[i] for i in own], path)
            self._parts[source] = np.load(path, mmap_mode="r")
        return self._parts[source]

    def _describe(self, refs: Sequence[ImageRef], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._progress.start("Describing films", len(refs))
        found = []
        for at in range(0, len(refs), _BATCH):
            batch = refs[at : at + _BATCH]
            found.append(self._matcher.describe(np.stack([_canonical(r, self._matcher.side) for r in batch])))
            self._progress.advance(len(batch))
        with written_whole(path) as part, part.open("wb") as file:
            np.save(file, np.concatenate(found))


def _canonical(ref: ImageRef, side: int) -> npt.NDArray[np.uint8]:
    film = canonical_radiograph(load_pixels(ref, DecodeOptions()).values, side)
    return np.rint(film * 255).astype(np.uint8)
