"""Rows of images that were read before: which of them still hold, and what this run makes of them.

A row holds as long as its files are the same and it was made in the same way. What else a run asks (another
kind, other subjects, a preview less) changes columns and reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leakscan import tables
from leakscan.fingerprint.declared import Declared
from leakscan.fingerprint.encoders.film.kept_details import kept_by
from leakscan.fingerprint.kinds import Asked
from leakscan.fingerprint.row_maker import NOTHING_MORE, Keeps, Way
from leakscan.types import ImageRef


def signed_rows(table: pa.Table) -> pa.Table:
    """The rows without those of files that hold no image: every scan finds these anew, maybe a million.

    Args:
        table: Rows of the schema ``tables.STORE``.

    Example:
        >>> rows = [{"path": "a.png", "status": "ok"}, {"path": "a.txt", "status": "ignored"}]
        >>> signed_rows(tables.from_rows(rows, tables.STORE))["path"].to_pylist()
        ['a.png']
    """
    signed = pc.fill_null(pc.greater(pc.binary_length(table["signature"]), 0), False)
    known = pc.or_(signed, pc.fill_null(pc.equal(table["status"], "ok"), False))
    return table if pc.all(known, min_count=0).as_py() else table.filter(known)


class KnownRows:
    """The rows of one store, by image.

    Args:
        table: Rows of the schema ``tables.STORE``, all made in one way.
        keeps: What a film must have to count as known.

    Example:
        >>> known = KnownRows(tables.STORE.empty_table())
        >>> ref = ImageRef(image_id="1", path="a.png", format="png", files=("/a.png",))
        >>> known.place(ref, Asked("other_2d", False)) is None
        True
    """

    def __init__(self, table: pa.Table, keeps: Keeps = NOTHING_MORE) -> None:
        self.table = table
        self._places = {image_id: i for i, image_id in enumerate(table["image_id"].to_pylist())}
        self._signatures = table["signature"].to_pylist()
        self._answers = Answers(table, keeps)

    def place(self, ref: ImageRef, asked: Asked) -> int | None:
        """The place of an image's row, ``None`` where its files changed or the row lacks what is asked."""
        place = self._places.get(ref.image_id)
        if place is None or self._signatures[place] != ref.signature:
            return None
        return place if self._answers.hold(place, asked) else None


class Answers:
    """Whether rows hold what a run asks of their images.

    Args:
        table: Rows with ``status`` and ``encoded_by``, and the columns that ``keeps`` names.
        keeps: What films must have.
    """

    def __init__(self, table: pa.Table, keeps: Keeps) -> None:
        ok = pc.fill_null(pc.equal(table["status"], "ok"), False)
        self._ok = ok.to_numpy(zero_copy_only=False)
        names = pc.fill_null(table["encoded_by"], "").combine_chunks().dictionary_encode()
        self._names, self._encoded_by = names.dictionary.to_pylist(), names.indices.to_numpy()
        self._lacks = np.zeros(len(table), bool)
        if keeps.previews:
            film = pc.is_valid(table["keypoints"]).to_numpy(zero_copy_only=False)
            self._lacks |= film & pc.is_null(table["preview"]).to_numpy(zero_copy_only=False)
        for encoder, digest in keeps.details.items():
            film = pc.fill_null(pc.equal(table["encoder"], encoder), False).to_numpy(zero_copy_only=False)
            self._lacks |= film & ~kept_by(table["details"], digest)

    def lacks(self, place: int) -> bool:
        """Whether a film has not what it must have."""
        return bool(self._lacks[place])

    def hold(self, place: int, asked: Asked) -> bool:
        """Whether a row needs no reading to say what is asked."""
        if not self._ok[place]:
            return True
        return not self._lacks[place] and (not asked.by or self._names[self._encoded_by[place]] == asked.by)


def as_asked(
    rows: pa.Table, wanted: Sequence[tuple[ImageRef, Asked]], declared: Declared, way: Way
) -> pa.Table:
    """Rows as this run would have made them.

    Args:
        rows: What is known, one row for each of ``wanted``; schema ``tables.STORE``.
        wanted: The images, and what is asked of each.
        declared: Writes what is declared.
        way: How rows are made.

    Example:
        >>> from pathlib import Path
        >>> from leakscan.sources.identity import IdentityKey
        >>> from leakscan.types import Tags
        >>> ref = ImageRef(image_id="1", path="b.png", format="png", files=(), tags=Tags(split="test"))
        >>> known = tables.from_rows([{"image_id": "0", "path": "a.png", "status": "ok"}], tables.STORE)
        >>> wanted, declared = [(ref, Asked("other_2d", False))], Declared(IdentityKey(Path("identity.key")))
        >>> new = as_asked(known, wanted, declared, Way("w"))
        >>> new.select(["path", "kind", "split"]).to_pylist()
        [{'path': 'b.png', 'kind': 'other_2d', 'split': 'test'}]
    """
    refs = [ref for ref, _ in wanted]
    columns = declared.columns(refs)
    own = [[]] * len(refs) if way.nameless else [notes or [] for notes in rows["read_notes"].to_pylist()]
    columns["read_notes"] = pa.array(own, tables.STORE.field("read_notes").type)
    both = [[*ref.notes, *notes] for ref, notes in zip(refs, own, strict=True)]
    columns["notes"] = pa.array(both, tables.STORE.field("notes").type)
    columns["prepared_with"] = pa.array([way.name] * len(refs), pa.string())
    for name, kept in (("preview", way.keeps.previews), ("details", bool(way.keeps.details))):
        if not kept:
            columns[name] = pa.nulls(len(refs), pa.binary())
    columns |= _encodings(rows, [asked for _, asked in wanted])
    return pa.Table.from_arrays(
        [columns.get(name, rows[name]) for name in tables.STORE.names], schema=tables.STORE
    )


def _encodings(rows: pa.Table, wanted: Sequence[Asked]) -> dict[str, pa.Array]:
    """The columns that say what an image is taken for and whether its fingerprint counts."""
    gates, states = rows["gate"].to_pylist(), rows["status"].to_pylist()
    takes = [asked.takes(gate) for asked, gate in zip(wanted, gates, strict=True)]
    asks = [bool(asked.by) for asked in wanted]
    kinds = [a.kind_of(state, gate) for a, state, gate in zip(wanted, states, gates, strict=True)]
    encoders = [asked.encoder if take else None for asked, take in zip(wanted, takes, strict=True)]
    fingerprint, spare = _sorted_out(rows, "fingerprint", takes)
    quality, spare_quality = _sorted_out(rows, "quality", asks)
    return {
        "kind": pa.array(kinds, pa.string()),
        "encoder": pa.array(encoders, pa.string()),
        "fingerprint": fingerprint,
        "spare_fingerprint": spare,
        "quality": quality,
        "spare_quality": spare_quality,
    }


def _sorted_out(rows: pa.Table, column: str, used: Sequence[bool]) -> tuple[pa.Array, pa.Array]:
    """A column and its spare, with every value where this run uses it or does not."""
    here, spare = rows[column], rows[f"spare_{column}"]
    filled = pc.is_valid(here).to_numpy(zero_copy_only=False)
    full = filled | pc.is_valid(spare).to_numpy(zero_copy_only=False)
    moved = (filled != np.asarray(used, bool)) & full
    if not moved.any():
        return here, spare
    n = len(rows)
    at = np.arange(n) + np.where(moved, n, 0)
    both = pa.chunked_array([*here.chunks, *spare.chunks], here.type).combine_chunks()
    return both.take(pa.array(at)), both.take(pa.array((at + n) % (2 * n)))
