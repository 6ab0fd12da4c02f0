"""From a source to a table with one row per image: scan, prepare in workers, encode, store.

Rows that a store already holds for unchanged files are taken as they are; everything else is read
once. Rows are written to the store as they come, so an interrupted run resumes where it stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from leakscan import tables
from leakscan.engines.careful import Careful
from leakscan.errors import StoreError
from leakscan.fingerprint.encoders.load import DeferredEncoder, has_gpu, runs_in_workers
from leakscan.fingerprint.keypoints import VERSION as KEYPOINTS_VERSION
from leakscan.fingerprint.kinds import REFUSED, presumed_kind
from leakscan.fingerprint.prepare import Encoding, Prepared, Recipe, encoding_of, given_up, prepare
from leakscan.fingerprint.shards import Shard
from leakscan.fingerprint.store import Store
from leakscan.settings import ReadingSettings
from leakscan.sources.identity import IdentityKey, drop_placeholders, dropped_words, normalised
from leakscan.sources.left_out import left_out_as
from leakscan.sources.nameless import ANOTHER
from leakscan.types import ImageRef, ImageSource, Kind, Tags

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

VERSION = "pipeline-2"
"""Changes whenever a row would come out differently; rows made otherwise are made again."""

_UIDS = ("study_uid", "series_uid", "sop_uid")
_NO_TAGS = Tags()
_GPU_BATCH = 64  # images that a GPU is given at once; a processor is given one
_CHUNK = 8  # pictures that a worker is given at once
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
        key_id: The name of the key that its identifiers are hashed with.
    """

    name: str
    rows: pa.Table
    refs: Mapping[str, ImageRef] = field(repr=False)  # raw identifiers stay out of crash reports
    subjects: Mapping[str, str] = field(repr=False)
    key_id: str


def _way(reading: ReadingSettings, encoders: Mapping[Kind, DeferredEncoder], previews: str = "") -> str:
    """Names everything that decides a row, so that rows made in another way are not reused."""
    chosen = (
        reading.max_pixels,
        reading.frames,
        reading.labels,
        reading.arrays,
        previews or False,
        reading.kind,
    )
    parts = [VERSION, KEYPOINTS_VERSION, "|".join(map(str, chosen))]
    parts += [
        f"{kind}={encoder.card.encoder}>{encoder.card.gate_threshold}"
        for kind, encoder in sorted(encoders.items())
    ]
    return blake3("|".join(parts).encode()).hexdigest()[:16]


def fingerprint_source(
    source: ImageSource,
    store: Store | None,
    context: RunContext,
    previews: bool = False,
    shard: Shard | None = None,
) -> Dataset:
    """Fingerprints every image of a source that its store does not hold already.

    Args:
        source: Where the images are.
        store: The store to keep up to date; ``None`` keeps nothing.
        context: The settings, engine, encoders, progress and timings of the run.
        previews: Whether to keep a 512 px picture of every film.
        shard: The part of the source to fingerprint; by default all of it.

    Raises:
        SourceError: The source cannot be read.
        OutputError: The store cannot be written; what was written before stays.

    Example::

        store = Store.create(Path("ward.fps"), StoreInfo(dataset="ward", key_id=context.key.key_id))
        dataset = fingerprint_source(source, store, context)  # again: reads only files that changed
        dataset.rows["path"].to_pylist()
    """
    progress, timings = context.progress, context.timings
    began = time.monotonic()
    refs = _with_clean_subjects(list(source.scan(progress)), source.name, context.notices)
    context.notices.extend(getattr(source, "notices", ()))
    context.patterns_met.update(getattr(source, "patterns_met", ()))
    if shard is not None:  # only now: which identifiers are placeholders depends on all images
        refs = shard.taken(refs)
    timings.scan += time.monotonic() - began
    kept = ("masked" if context.settings.privacy.mask else "plain") if previews else ""
    made = _way(context.settings.reading, context.models.encoders, kept)
    known, table = _known_rows(store, made)
    fresh = [ref for ref in refs if known.get(ref.image_id, (None, 0))[0] != _row_signature(ref)]
    progress.start(f"Reading {source.name}", len(fresh))
    maker = _RowMaker(context, made, previews, store is not None and store.info.nameless)
    rows: list[dict[str, Any]] = []
    unsaved = 0
    oldest = 0.0  # when the first row came that is not saved
    try:
        for row in maker.rows(fresh):
            oldest = time.monotonic() if len(rows) == unsaved else oldest
            rows.append(row)
            progress.advance()
            due = len(rows) - unsaved >= _FLUSH_ROWS or time.monotonic() - oldest > _FLUSH_SECONDS
            if store is not None and due:
                store.append(rows[unsaved:])
                unsaved = len(rows)
    finally:
        # Also on Ctrl-C: what was computed is kept.
        rows += maker.rest
        if store is not None and unsaved < len(rows):
            store.append(rows[unsaved:])
    table = pa.concat_tables([table, tables.from_rows(rows, tables.STORE)])
    position = {image_id: i for i, image_id in enumerate(table["image_id"].to_pylist())}
    current = table.take(pa.array([position[ref.image_id] for ref in refs], pa.int64()))
    current, dates_changed = _with_dates(current, refs, context)
    if store is not None and (
        dates_changed or rows or len(current) != len(known) or store.newest_way() != made
    ):
        store.replace(current)
    return Dataset(
        source.name,
        current,
        {ref.image_id: ref for ref in refs if ref.files},
        {ref.image_id: ref.tags.subject for ref in refs if ref.tags.subject},
        context.key.key_id,
    )


def dated(ref: ImageRef, key: IdentityKey, dates: Literal["no", "shifted", "clear"]) -> str | None:
    """The acquisition date of an image as a row may hold it.

    Args:
        ref: The image.
        key: What dates are shifted with.
        dates: What the user chose.

    Example:
        >>> from pathlib import Path
        >>> key, tags = IdentityKey(Path("identity.key")), Tags(acquired="2019-03-14")
        >>> ref = ImageRef(image_id="1", path="a.dcm", format="dicom", files=(), tags=tags)
        >>> dated(ref, key, "no"), dated(ref, key, "clear")
        (None, '2019-03-14')
    """
    if dates == "no" or not ref.tags.acquired:
        return None
    if dates == "clear":
        return ref.tags.acquired
    return key.shifted(ref.tags.acquired, ref.tags.subject or ref.tags.study_uid) or None


def _with_dates(table: pa.Table, refs: Sequence[ImageRef], context: RunContext) -> tuple[pa.Table, bool]:
    """Rows with dates as this run wants them, whatever an earlier one wanted; and whether any changed."""
    wanted = [dated(ref, context.key, context.settings.privacy.dates) for ref in refs]
    if table["acquired"].to_pylist() == wanted:
        return table, False
    at = table.column_names.index("acquired")
    return table.set_column(at, table.schema.field(at), pa.array(wanted, pa.string())), True


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
    return Dataset(name, rows, {}, {}, store.info.key_id)


class _RowMaker:
    """Turns refs into store rows, in order.

    Workers encode what ONNX Runtime can; what is left for a GPU, or for torch, is encoded here. What stands
    in a row does not depend on the clock, nor on how many workers there are.
    """

    def __init__(self, context: RunContext, made: str, previews: bool, nameless: bool) -> None:
        self._context = context
        self._encoders = context.models.encoders
        self._timings = context.timings
        self._made = made
        self._previews = previews
        self._nameless = nameless
        self._batch = _GPU_BATCH if has_gpu() else 1
        self.rest: list[dict[str, Any]] = []

    def rows(self, refs: Sequence[ImageRef]) -> Iterator[dict[str, Any]]:
        kinds = [self._kind(ref) for ref in refs]
        readable = [(ref, kind) for ref, (kind, _) in zip(refs, kinds, strict=True) if ref.status == "ok"]
        # A volume takes a second: handed out one by one, so that rows come every second, too.
        chunk = 1 if any(ref.ndim == 3 for ref, _ in readable) else _CHUNK
        seconds = self._context.settings.reading.max_seconds
        work = Careful(
            partial(prepare, recipe=self._recipe(readable)), partial(given_up, seconds=seconds), seconds
        )
        results = self._context.engine.map(work, readable, chunk)
        block: list[tuple[ImageRef, Kind, bool, Prepared]] = []
        waiting = 0
        try:
            for ref, (kind, gated) in zip(refs, kinds, strict=True):
                if ref.status == "ok":
                    began = time.monotonic()
                    prepared = next(results)
                    self._timings.prepare += time.monotonic() - began
                    self._timings.images_read += 1
                    self._timings.add(prepared.spans)
                else:
                    prepared = Prepared(
                        status=ref.status,
                        error=ref.error,
                        error_path=ref.error_path,
                        left_out=ref.left_out,
                    )
                block.append((ref, kind, gated, prepared))
                waiting += prepared.canonical is not None
                if not waiting or waiting >= self._batch:
                    yield from self._encode(block)
                    block, waiting = [], 0
        except BaseException:
            # Interrupted: what the workers have finished is kept by whoever collects the rows.
            self.rest = self._encode(block)
            raise
        yield from self._encode(block)

    def _recipe(self, readable: Sequence[tuple[ImageRef, Kind]]) -> Recipe:
        """What workers make of images.

        Raises:
            ModelError: An encoder that will be needed is damaged: this is the time to say so.
        """
        needed = {kind for _, kind in readable} & set(self._encoders)
        for kind in sorted(needed):
            self._encoders[kind].open()
        return Recipe(
            options=self._context.settings.reading,
            sides={kind: encoder.card.side for kind, encoder in self._encoders.items()},
            encoders={
                kind: str(self._encoders[kind].folder)
                for kind in needed
                if runs_in_workers(self._encoders[kind].card, self._encoders[kind].folder)
            },
            previews=self._previews,
            masked=self._context.settings.privacy.mask,
        )

    def _kind(self, ref: ImageRef) -> tuple[Kind, bool]:
        """As presumed; a guess that no encoder here can confirm is none."""
        kind, gated = presumed_kind(ref, self._context.settings.reading.kind)
        return (REFUSED[kind], False) if gated and kind not in self._encoders else (kind, gated)

    def _encode(self, block: list[tuple[ImageRef, Kind, bool, Prepared]]) -> list[dict[str, Any]]:
        began = time.monotonic()
        rows = [self._row(ref, kind, prepared) for ref, kind, _, prepared in block]
        said: list[Encoding | None] = [prepared.encoding for *_, prepared in block]
        for kind, encoder in self._encoders.items():
            at = [i for i, (_, k, _, p) in enumerate(block) if k == kind and p.canonical is not None]
            if not at:
                continue
            found = encoder.encode(np.stack([block[i][3].canonical for i in at]))  # type: ignore[misc]
            for j, i in enumerate(at):
                said[i] = encoding_of(found, j)
        for row, encoding, (_, kind, gated, _) in zip(rows, said, block, strict=True):
            if encoding is None:
                continue
            row["quality"] = encoding.quality
            if encoding.accepted or not gated:
                row["encoder"] = self._encoders[kind].card.encoder
                row["fingerprint"] = encoding.fingerprint
            else:
                row["kind"] = REFUSED[kind]
        self._timings.encode += time.monotonic() - began
        return rows

    def _row(self, ref: ImageRef, kind: Kind, prepared: Prepared) -> dict[str, Any]:
        key, tags = self._context.key, ref.tags
        read = prepared.status in ("ok", "blank")
        if self._nameless:
            prepared = _nameless(prepared)
        return {
            "image_id": ref.image_id,
            "path": ref.path,
            "format": ref.format,
            "kind": (REFUSED.get(kind, kind) if prepared.status == "blank" else kind) if read else None,
            "file_hash": prepared.file_hash or None,
            "pixel_hash": prepared.pixel_hash or None,
            "shape": list(prepared.shape),
            "spacing_mm": list(prepared.spacing_mm),
            "subject": key.hash(tags.subject) if tags.subject else None,
            "study_uid_hash": key.hash(tags.study_uid) if tags.study_uid else None,
            "series_uid_hash": key.hash(tags.series_uid) if tags.series_uid else None,
            "sop_uid_hash": key.hash(tags.sop_uid) if tags.sop_uid else None,
            "acquired": dated(ref, key, self._context.settings.privacy.dates),
            "status": prepared.status,
            "error": prepared.error or None,
            "error_path": prepared.error_path or None,
            "frame": ref.frame,
            "split": tags.split or None,
            "notes": [*ref.notes, *prepared.notes],
            "left_out": left_out_as(prepared.status, ref.format, prepared.left_out) or None,
            "encoder": None,
            "fingerprint": None,
            "phash": None if prepared.phash is None else prepared.phash.tolist(),
            "quality": None,
            # A passing trouble is not the file's: such a row never counts as known.
            "signature": None if prepared.passing else _row_signature(ref),
            "prepared_with": self._made,
            "preview": prepared.preview,
            "keypoints": prepared.keypoints,
        }


def _nameless(prepared: Prepared) -> Prepared:
    """What a worker found, without the file that its sentence names and without notes."""
    error = prepared.error.replace("{path}", ANOTHER) if prepared.error_path else prepared.error
    return replace(prepared, error=error, error_path="", notes=())


def _row_signature(ref: ImageRef) -> str:
    """Changes with the files and with what is declared of them (a manifest may change alone)."""
    return blake3(
        f"{ref.signature}|{ref.tags}|{ref.status}|{ref.error}|{ref.error_path}|{ref.notes}".encode()
    ).hexdigest()[:24]


def _known_rows(store: Store | None, made: str) -> tuple[dict[str, tuple[str, int]], pa.Table]:
    if store is None:
        return {}, tables.STORE.empty_table()
    table = store.load(made)
    ids, signatures = table["image_id"].to_pylist(), table["signature"].to_pylist()
    return {i: (s, n) for n, (i, s) in enumerate(zip(ids, signatures, strict=True))}, table


def _with_clean_subjects(refs: list[ImageRef], name: str, notices: list[str]) -> list[ImageRef]:
    """Empties identifiers that identify nobody, and says so; the frames of one file count once."""
    first = {ref.files or (ref.path,): ref.tags.subject for ref in refs if ref.status == "ok"}
    declared = list(first.values())
    left = drop_placeholders(declared)
    if words := dropped_words(declared, left, name):
        notices.append(words)
    kept = dict(zip(first, left, strict=True))
    shared = _shared_uids(refs)
    return [
        replace(
            ref,
            tags=replace(
                ref.tags,
                subject=kept.get(ref.files or (ref.path,), ""),
                **{field: "" for field in _UIDS if getattr(ref.tags, field) in shared},
            ),
        )
        if ref.tags != _NO_TAGS
        else ref
        for ref in refs
    ]


def _shared_uids(refs: list[ImageRef]) -> set[str]:
    """UIDs that stand on most of a source, or on images of several declared subjects: they are made up."""
    pairs = [(getattr(ref.tags, f), ref) for ref in refs if ref.status == "ok" for f in _UIDS]
    counts = Counter(uid for uid, _ in pairs if uid)
    of: dict[str, set[str]] = {}
    for uid, ref in pairs:
        if uid and ref.tags.subject:
            of.setdefault(uid, set()).add(normalised(ref.tags.subject))
    images = sum(ref.status == "ok" for ref in refs)
    most = {uid for uid, n in counts.items() if n > 10 and 2 * n > images}
    return most | {uid for uid, subjects in of.items() if len(subjects) > 1}
