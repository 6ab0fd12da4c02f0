"""Reads images, in workers and here, and makes a row of each: of its pixels, and of what is declared."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from leakscan import tables
from leakscan.engines.careful import Careful
from leakscan.fingerprint.declared import Declared
from leakscan.fingerprint.encoders.load import has_gpu, runs_in_workers
from leakscan.fingerprint.file_times import FileTimes
from leakscan.fingerprint.kinds import Asked
from leakscan.fingerprint.prepare import Encoding, Prepared, Recipe, encoding_of, given_up, prepare
from leakscan.fingerprint.unread_rows import UnreadRows
from leakscan.sources.contents import content_mark
from leakscan.sources.found_images import FoundImages
from leakscan.sources.left_out import left_out_as
from leakscan.sources.nameless import ANOTHER
from leakscan.types import ImageRef, Kind

if TYPE_CHECKING:
    from leakscan.run.context import RunContext
    from leakscan.run.models import Models

_GPU_BATCH = 64  # images that a GPU is given at once; a processor is given one
_CHUNK = 8  # pictures that a worker is given at once


@dataclass(frozen=True)
class Keeps:
    """What is kept of every film beside its fingerprint, for runs that do not have the film.

    Attributes:
        previews: Whether a 512 px picture is.
        details: The digests of the networks whose details are, by the encoder that they belong to.
    """

    previews: bool = False
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a store that say what is a film and what was kept of it."""
        return (("keypoints", "preview") if self.previews else ()) + (
            ("encoder", "details") if self.details else ()
        )


NOTHING_MORE = Keeps()


@dataclass(frozen=True)
class Way:
    """How rows are made.

    Attributes:
        name: What ``prepared_with`` says of them.
        keeps: What is kept of films.
        masked: Whether text that is burnt into a preview is covered.
        nameless: Whether no sentence may name a file, and no note is kept.
    """

    name: str
    keeps: Keeps = NOTHING_MORE
    masked: bool = True
    nameless: bool = False


@dataclass(frozen=True)
class _Image:
    ref: ImageRef
    asked: Asked
    prepared: Prepared


class RowMaker:
    """Turns image references into store rows, in order.

    Workers encode what ONNX Runtime can; what is left for a GPU, or for torch, is encoded here. What stands
    in a row does not depend on the clock, nor on how many workers there are.

    Attributes:
        rest: Rows that were finished when the work was interrupted.

    Args:
        context: The run.
        way: How rows are made.
        declared: Writes what is declared.
    """

    def __init__(self, context: RunContext, way: Way, declared: Declared) -> None:
        self._context = context
        self._encoders = context.models.encoders
        self._timings = context.timings
        self._way = way
        self._declared = declared
        self._batch = _GPU_BATCH if has_gpu() else 1
        self.rest: list[dict[str, Any]] = []

    def rows(self, wanted: Sequence[tuple[ImageRef, Asked]]) -> Iterator[dict[str, Any]]:
        """Rows of the schema ``tables.STORE``, one for each image.

        Args:
            wanted: Images that the scan found usable, and what is asked of each.
        """
        readable = [(ref, asked.kind) for ref, asked in wanted]
        # A volume takes a second: handed out one by one, so that rows come every second, too.
        chunk = 1 if any(ref.ndim == 3 for ref, _ in readable) else _CHUNK
        seconds = self._context.settings.reading.max_seconds
        work = Careful(
            partial(prepare, recipe=self._recipe(readable)), partial(given_up, seconds=seconds), seconds
        )
        times = FileTimes(self._context.settings.reading)
        items = ((times.allowed(ref), kind) for ref, kind in readable)
        results = self._context.engine.map(work, items, chunk)
        block: list[_Image] = []
        waiting = 0
        try:
            for ref, asked in wanted:
                began = time.monotonic()
                prepared = next(results)
                times.add(ref, prepared.seconds)
                self._timings.prepare += time.monotonic() - began
                self._timings.images_read += 1
                self._timings.add(prepared.spans)
                block.append(_Image(ref, asked, prepared))
                waiting += prepared.canonical is not None
                if not waiting or waiting >= self._batch:
                    yield from self._encode(block)
                    block, waiting = [], 0
        except BaseException:
            # Interrupted: what the workers have finished is kept by whoever collects the rows.
            self.rest = self._encode(block)
            raise
        yield from self._encode(block)

    def problems(self, refs: FoundImages, kind: Kind | None) -> UnreadRows:
        """The rows of what the scan found to be no usable image.

        Args:
            refs: What was found.
            kind: The setting ``kind``.
        """
        cards = {of: encoder.card for of, encoder in self._encoders.items()}
        left = refs.unusable()
        rows = (self._problem(ref, Asked.of(ref, kind, cards)) for ref in left.sorts)
        return UnreadRows(left, tables.from_rows(rows, tables.STORE))

    def _problem(self, ref: ImageRef, asked: Asked) -> dict[str, Any]:
        found = Prepared(status=ref.status, error=ref.error, error_path=ref.error_path, left_out=ref.left_out)
        return self._row(_Image(ref, asked, found), None)

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
            detail_networks=detail_networks(self._context.models, needed, bool(self._way.keeps.details)),
            previews=self._way.keeps.previews,
            masked=self._way.masked,
        )

    def _encode(self, block: list[_Image]) -> list[dict[str, Any]]:
        began = time.monotonic()
        said: list[Encoding | None] = [image.prepared.encoding for image in block]
        for kind, encoder in self._encoders.items():
            at = [
                i
                for i, image in enumerate(block)
                if image.asked.kind == kind and image.prepared.canonical is not None
            ]
            if not at:
                continue
            found = encoder.encode(np.stack([block[i].prepared.canonical for i in at]))  # type: ignore[misc]
            for j, i in enumerate(at):
                said[i] = encoding_of(found, j)
        rows = [self._row(image, encoding) for image, encoding in zip(block, said, strict=True)]
        self._timings.encode += time.monotonic() - began
        return rows

    def _row(self, image: _Image, encoding: Encoding | None) -> dict[str, Any]:
        ref, asked, prepared = image.ref, image.asked, image.prepared
        if self._way.nameless:
            prepared = _nameless(prepared)
        gate = None if encoding is None else encoding.accepted
        takes = asked.takes(gate)
        kept = prepared.details if takes else None
        if kept is not None and not self._way.keeps.details:
            self._context.shelf.put(prepared.pixel_hash, kept)
            kept = None
        return {
            **self._declared.row(ref),
            "file_hash": prepared.file_hash or None,
            "pixel_hash": prepared.pixel_hash or None,
            "shape": list(prepared.shape),
            "spacing_mm": list(prepared.spacing_mm),
            "status": prepared.status,
            "error": prepared.error or None,
            "error_path": prepared.error_path or None,
            "left_out": left_out_as(prepared.status, ref.format, prepared.left_out) or None,
            "notes": [*ref.notes, *prepared.notes],
            "read_notes": list(prepared.notes),
            "kind": asked.kind_of(prepared.status, gate),
            "encoder": asked.encoder if takes else None,
            "fingerprint": encoding.fingerprint if encoding is not None and takes else None,
            "quality": None if encoding is None else encoding.quality,
            "encoded_by": asked.by or None,
            "gate": gate,
            "spare_fingerprint": None if encoding is None or takes else encoding.fingerprint,
            "spare_quality": None,
            "phash": None if prepared.phash is None else prepared.phash.tolist(),
            # A passing trouble is not the file's: such a row never counts as known.
            "signature": None if prepared.passing else ref.signature,
            "content": ref.content or content_mark([ref.signature]) if prepared.file_hash else None,
            "prepared_with": self._way.name,
            "preview": prepared.preview,
            "keypoints": prepared.keypoints,
            "details": kept,
        }


def detail_networks(models: Models, needed: Collection[Kind], all_of_them: bool = False) -> dict[Kind, str]:
    """The files of the networks that describe films in workers, by the kind that they serve.

    Args:
        models: The encoders and what belongs to them.
        needed: The kinds whose encoders run.
        all_of_them: Also those that do not go on from what an encoder makes of a film, and take their time.

    Raises:
        ModelError: A network is damaged.

    Example::

        detail_networks(context.models, {"chest_radiograph"})
    """
    found = {}
    for kind in needed:
        matcher = models.matchers.get(models.encoders[kind].card.encoder)
        path = None if matcher is None else matcher.for_workers
        if matcher is not None and path is not None and (all_of_them or matcher.encoder is not None):
            found[kind] = str(path)
    return found


def _nameless(prepared: Prepared) -> Prepared:
    """What a worker found, without the file that its sentence names and without notes."""
    error = prepared.error.replace("{path}", ANOTHER) if prepared.error_path else prepared.error
    return replace(prepared, error=error, error_path="", notes=())
