"""From a source to a table with one row per image: scan, prepare in workers, encode, store.

What comes from the pixels of an image is read once, whatever it is called, wherever it lies and whatever is
declared of it. Rows are written to the store as they come, so an interrupted run resumes where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from leakscan import tables
from leakscan.errors import StoreError
from leakscan.fingerprint.declared import Declared, with_clean_subjects
from leakscan.fingerprint.elsewhere import Elsewhere, way_name
from leakscan.fingerprint.encoders.load import DeferredEncoder
from leakscan.fingerprint.keypoints import VERSION as KEYPOINTS_VERSION
from leakscan.fingerprint.kinds import Asked
from leakscan.fingerprint.known_rows import KnownRows, as_asked, signed_rows
from leakscan.fingerprint.row_maker import NOTHING_MORE, Keeps, RowMaker, Way
from leakscan.fingerprint.shards import Shard
from leakscan.fingerprint.sound_rows import check_sound
from leakscan.fingerprint.store import Store
from leakscan.fingerprint.unread_rows import UnreadRows
from leakscan.settings import ReadingSettings
from leakscan.sources.found_images import FoundImages
from leakscan.types import ImageRef, ImageSource, Kind

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

VERSION = "pipeline-4"
"""Changes whenever a row would come out differently; rows made otherwise are made again."""

STORES = "stores"
"""The folder of a cache that holds its stores."""

_FLUSH_ROWS = 1024
_FLUSH_SECONDS = 5.0


@dataclass(frozen=True)
class Dataset:
    """A fingerprinted source.

    Attributes:
        name: The name of the dataset in every table.
        rows: One row per image, in the order of the scan; the schema is ``tables.STORE``.
        refs: Where the pixels of every image are, by image id; empty when only a store is at hand.
        subjects: Declared subjects in clear, by image id; written only where the user asks for it.
        key_id: The name of the key that its identifiers are hashed with; where its rows stand under a project
            key, a ``+`` and the name of that.
    """

    name: str
    rows: pa.Table
    refs: Mapping[str, ImageRef] = field(repr=False)  # raw identifiers stay out of crash reports
    subjects: Mapping[str, str] = field(repr=False)
    key_id: str

    @property
    def project_key_id(self) -> str:
        """The name of the project key that its rows stand under; empty without one."""
        return self.key_id.partition("+")[2]


def _way(reading: ReadingSettings, encoders: Mapping[Kind, DeferredEncoder], bare: bool = False) -> str:
    """Names what decides a row beside the image itself, so that rows made in another way are not reused.

    What images are taken for, who their subjects are, and which of them are left out is no part of it.
    ``bare`` previews, in which burnt-in text is not covered, serve nobody who wants it covered.
    """
    options = (reading.max_pixels, reading.frames, reading.labels, reading.arrays)
    chosen = (VERSION, KEYPOINTS_VERSION, *options, *(("bare",) if bare else ()))
    cards = [f"{kind}={encoder.card.judged_by}" for kind, encoder in sorted(encoders.items())]
    parts = ("|".join(map(str, chosen)), "|".join(cards))
    return way_name(*(blake3(part.encode()).hexdigest() for part in parts))


def fingerprint_source(
    source: ImageSource,
    store: Store | None,
    context: RunContext,
    keeps: Keeps = NOTHING_MORE,
    shard: Shard | None = None,
) -> Dataset:
    """Fingerprints every image of a source that was not read before.

    Rows come from the store where the files of an image are unchanged, else from any store of the cache that
    holds the same content; what is declared of images is taken anew.

    Args:
        source: Where the images are.
        store: The store to keep up to date; ``None`` keeps nothing.
        context: The settings, engine, encoders, progress and timings of the run.
        keeps: What to keep of every film beside its fingerprint.
        shard: The part of the source to fingerprint; by default all of it.

    Raises:
        SourceError: The source cannot be read.
        OutputError: The store cannot be written; what was written before stays.

    Example::

        store = Store.create(Path("ward.fps"), StoreInfo(dataset="ward", key_id=context.key.key_id))
        dataset = fingerprint_source(source, store, context)  # again: reads only files that changed
        dataset.rows["path"].to_pylist()
    """
    refs = _scanned(source, context)
    if shard is not None:  # only now: which identifiers are placeholders depends on all images
        refs = FoundImages(shard.taken(refs))
    masked = context.settings.privacy.mask
    way = Way(
        name=_way(context.settings.reading, context.models.encoders, bare=keeps.previews and not masked),
        keeps=keeps,
        masked=masked,
        nameless=store is not None and store.info.nameless,
    )
    declared = Declared(context.key, context.settings.privacy.dates)
    work = _Work(source.name, context, way, declared)
    current = work.rows_of(refs, store)
    return Dataset(
        source.name,
        current,
        {ref.image_id: ref for ref in refs.whole if ref.files},
        {ref.image_id: ref.tags.subject for ref in refs.whole if ref.tags.subject},
        context.key.key_id,
    )


def _scanned(source: ImageSource, context: RunContext) -> FoundImages:
    """The images of a source; what is to be said of it goes to the run."""
    began = time.monotonic()
    found = FoundImages.of(source, context.progress)
    refs = found.with_whole(with_clean_subjects(found.whole, source.name, context.notices))
    context.notices.extend(getattr(source, "notices", ()))
    context.patterns_met.update(getattr(source, "patterns_met", ()))
    context.timings.scan += time.monotonic() - began
    return refs


_Wanted = Mapping[int, tuple[ImageRef, Asked]]


class _Work:
    """What it takes to make the rows of one source.

    Args:
        name: The name of the dataset.
        context: The run.
        way: How rows are made.
        declared: Writes what is declared of images.
    """

    def __init__(self, name: str, context: RunContext, way: Way, declared: Declared) -> None:
        self._name, self._context, self._way, self._declared = name, context, way, declared
        self._cards = {kind: encoder.card for kind, encoder in context.models.encoders.items()}

    def rows_of(self, refs: FoundImages, store: Store | None) -> pa.Table:
        """One row for each image, in their order; the store is brought up to date."""
        asked_kind = self._context.settings.reading.kind
        usable = refs.usable()
        wanted = {i: (refs[i], Asked.of(refs[i], asked_kind, self._cards)) for i in usable}
        stored = tables.STORE.empty_table() if store is None else store.load(self._way.name, signed_rows)
        known = KnownRows(stored, self._way.keeps)
        maker = RowMaker(self._context, self._way, self._declared)
        places = {i: known.place(*wanted[i]) for i in usable}
        have = [i for i in usable if places[i] is not None]
        parts = [self._as_asked(stored.take(pa.array([places[i] for i in have], pa.int64())), have, wanted)]
        order = list(have)
        missing = [i for i in usable if places[i] is None]
        if missing and store is not None:
            there, rows = self._elsewhere([wanted[i] for i in missing])
            met = [missing[i] for i in there]
            parts.append(self._as_asked(rows, met, wanted))
            order += met
            store.append_table(parts[-1])
            missing = sorted({*missing} - {*met})
        parts.append(self._read([wanted[i] for i in missing], maker, store))
        order += missing
        current = _in_order(parts, order, maker.problems(refs, asked_kind))
        if store is not None:
            store.update(current, stored)
        return current

    def _as_asked(self, rows: pa.Table, at: list[int], wanted: _Wanted) -> pa.Table:
        return as_asked(rows, [wanted[i] for i in at], self._declared, self._way)

    def _elsewhere(self, wanted: Sequence[tuple[ImageRef, Asked]]) -> tuple[list[int], pa.Table]:
        """What other stores of the cache know."""
        stores = self._context.settings.limits.cache / STORES
        elsewhere = Elsewhere(stores, self._way.name, self._way.keeps)
        return elsewhere.found(wanted, self._context.engine, self._context.progress)

    def _read(
        self, fresh: Sequence[tuple[ImageRef, Asked]], maker: RowMaker, store: Store | None
    ) -> pa.Table:
        """Reads images, and keeps their rows as they come."""
        progress = self._context.progress
        progress.start(f"Reading {self._name}", len(fresh))
        rows: list[dict[str, Any]] = []
        parts: list[pa.Table] = [tables.STORE.empty_table()]

        def keep() -> None:
            parts.append(tables.from_rows(rows, tables.STORE))  # a tenth of what dictionaries take
            rows.clear()
            if store is not None:
                store.append_table(parts[-1])

        oldest = 0.0  # when the first row came that is not saved
        try:
            for row in maker.rows(fresh):
                oldest = oldest if rows else time.monotonic()
                rows.append(row)
                progress.advance()
                if len(rows) >= _FLUSH_ROWS or time.monotonic() - oldest > _FLUSH_SECONDS:
                    keep()
        finally:
            # Also on Ctrl-C: what was computed is kept.
            rows += maker.rest
            keep()
        return pa.concat_tables(parts)


def _in_order(parts: list[pa.Table], order: Sequence[int], others: UnreadRows) -> pa.Table:
    """The rows of a scan, column by column: there may be a million, and two copies of them are too many.

    Args:
        parts: Rows of images; they are given up.
        order: The place of each in the scan.
        others: The rows of what is no image.
    """
    columns = pa.concat_tables(parts).columns
    parts.clear()
    places = np.concatenate([np.array(order, np.int64), others.places])
    back = np.empty(len(places), np.int64)
    back[places] = np.arange(len(places))
    at = pa.array(back)
    for i, name in enumerate(tables.STORE.names):
        own = others.column(name) if len(others.places) else columns[i].slice(0, 0)
        columns[i] = pa.chunked_array([*columns[i].chunks, *own.chunks], own.type).take(at)
    return pa.Table.from_arrays(columns, schema=tables.STORE)


def dataset_from_store(store: Store, name: str, encoders: Mapping[Kind, DeferredEncoder]) -> Dataset:
    """A dataset of which only the fingerprints are at hand.

    Raises:
        StoreError: The store is empty, damaged, one shard of several, or made with another encoder.

    Example:
        >>> from pathlib import Path
        >>> from leakscan.fingerprint.store import StoreInfo
        >>> store = Store.create(Path("ward.fps"), StoreInfo(dataset="ward", key_id="0011aabb"))
        >>> store.append([{"image_id": "1", "path": "a.png", "prepared_with": "way"}])
        >>> dataset = dataset_from_store(store, "ward", encoders={})
        >>> dataset.rows["path"].to_pylist(), dataset.key_id
        (['a.png'], '0011aabb')
    """
    rows = store.load()
    if not len(rows):
        raise StoreError(
            "The store {path} holds no images.",
            "Fingerprint its source again.",
            code="store_empty",
            path=store.folder,
        )
    if store.info.shard:
        raise StoreError(
            f"The store {{path}} holds shard {store.info.shard} of its dataset only.",
            "Merge all shards first, so that no image is left out.",
            code="store_is_shard",
            path=store.folder,
        )
    made_with = {e for e in pc.unique(rows["encoder"]).to_pylist() if e}
    here = {encoder.card.encoder for encoder in encoders.values()}
    if strange := made_with - here:
        raise StoreError(
            f"The store {{path}} was made with the encoder {', '.join(sorted(strange))}; "
            f"here is {', '.join(sorted(here)) or 'none'}.",
            "Fingerprint the dataset again with the same leakscan, or add that encoder.",
            code="store_of_another_encoder",
            path=store.folder,
        )
    check_sound(rows, store.folder)
    own, project = store.info.key_id, store.info.project_key_id
    return Dataset(name, rows, {}, {}, f"{own}+{project}" if project else own)
