"""Images that were read before under another name or in another place: their rows go with the content.

A folder that moved, a manifest over files of a folder, a file that was only touched: whatever looks the same
(size, first and last 4 kB) is read once more as bytes, and where all bytes are the same the row is taken.
That costs a hash of the file in place of decoding and encoding it, and never takes the row of another image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan import tables
from leakscan.errors import ImageError, StoreError
from leakscan.fingerprint.hashing import file_hash
from leakscan.fingerprint.kinds import Asked
from leakscan.fingerprint.known_rows import Answers
from leakscan.fingerprint.row_maker import NOTHING_MORE, Keeps
from leakscan.sources.contents import content_mark
from leakscan.types import Engine, ImageRef, Progress

_Key = tuple[str, int, str]  # content, frame, format

_COLUMNS = ["content", "frame", "format", "file_hash", "prepared_with", "status", "encoded_by"]
_WAY_DIGITS = 16


def way_name(decoding: str, encoding: str) -> str:
    """What ``prepared_with`` says: how pixels become rows, then by which encoders, 16 hex digits each.

    Example:
        >>> way_name("00112233445566778", "8899aabbccddeeff0")
        '00112233445566778899aabbccddeeff'
    """
    return decoding[:_WAY_DIGITS] + encoding[:_WAY_DIGITS]


@dataclass(frozen=True)
class _Candidate:
    shard: Path
    row: int
    file_hash: str


class Elsewhere:
    """The rows of all stores of a cache.

    Args:
        stores: The folder of the stores; it may be absent.
        way: The way in which rows must have been made, see :func:`way_name`; other encoders are welcome where
            none is asked.
        keeps: What films must have.

    Example:
        >>> Elsewhere(Path("no-cache"), way_name("0" * 16, "1" * 16)).candidates([])
        {}
    """

    def __init__(self, stores: Path, way: str, keeps: Keeps = NOTHING_MORE) -> None:
        self._stores, self._decoding, self._keeps = stores, way[:_WAY_DIGITS], keeps

    def found(
        self, wanted: Sequence[tuple[ImageRef, Asked]], engine: Engine, progress: Progress
    ) -> tuple[list[int], pa.Table]:
        """Rows of images that were read before, and the places of these images in ``wanted``.

        Args:
            wanted: The images that a store does not know, and what is asked of each.
            engine: Hashes files.
            progress: Receives how far the hashing is.
        """
        known = self.candidates(wanted)
        if not known:
            return [], tables.STORE.empty_table()
        at = sorted(known)
        progress.start("Recognising images", len(at))
        chosen: dict[int, _Candidate] = {}
        for i, digest in zip(at, engine.map(_hash_of, [wanted[i][0].files for i in at]), strict=True):
            match = next((c for c in known[i] if c.file_hash == digest), None)
            if match is not None:
                chosen[i] = match
            progress.advance()
        return _taken(chosen)

    def candidates(self, wanted: Sequence[tuple[ImageRef, Asked]]) -> dict[int, list[_Candidate]]:
        """Rows that may be those of images, by the places of the images.

        Args:
            wanted: The images, and what is asked of each.
        """
        found: dict[int, list[_Candidate]] = {}
        shards = sorted(self._stores.glob("*.fps/shards/*.parquet")) if wanted else []
        if not shards:
            return found
        places: dict[_Key, list[int]] = {}
        for i, (ref, _) in enumerate(wanted):
            key = (ref.content or content_mark([ref.signature]), ref.frame, ref.format)
            places.setdefault(key, []).append(i)
        contents = pa.array(sorted({content for content, *_ in places}))
        for shard in shards:
            rows, at = self._likely(shard, contents)
            answers = Answers(rows, self._keeps)
            # Of rows that agree in everything, one will do: of three thousand equal files, say.
            seen: set[tuple[_Key, str, str | None]] = set()
            for n, row in enumerate(rows.select(_COLUMNS).to_pylist()):
                key = (row["content"], row["frame"], row["format"])
                same = (key, row["file_hash"], row["encoded_by"])
                if key not in places or same in seen or answers.lacks(n):
                    continue
                seen.add(same)
                candidate = _Candidate(shard, int(at[n]), row["file_hash"])
                for i in places[key]:
                    if answers.hold(n, wanted[i][1]):
                        found.setdefault(i, []).append(candidate)
        return found

    def _likely(self, shard: Path, contents: pa.Array) -> tuple[pa.Table, npt.NDArray[np.intp]]:
        """The rows of a shard that may be those of some images, and their places in it."""
        columns = [*_COLUMNS, *self._keeps.columns]
        try:
            table = tables.read_parquet(shard, columns)
        except (OSError, pa.ArrowException):  # damaged, or replaced by another run
            table = tables.STORE.empty_table()
        if not set(columns) <= set(table.column_names):  # of an earlier version, whose rows say less
            table = tables.STORE.empty_table().select(columns)
        likely = pc.and_(
            pc.is_in(table["content"], contents), pc.starts_with(table["prepared_with"], self._decoding)
        )
        at = np.flatnonzero(pc.fill_null(likely, False).to_numpy(zero_copy_only=False))
        return table.take(pa.array(at)), at


def _hash_of(files: Sequence[str]) -> str:
    try:
        return file_hash(files)
    except (OSError, ImageError):
        return ""  # whoever reads it says what is wrong


def _taken(chosen: Mapping[int, _Candidate]) -> tuple[list[int], pa.Table]:
    """The whole rows of candidates; none from a shard that another run replaced meanwhile."""
    places: list[int] = []
    parts = [tables.STORE.empty_table()]
    for shard in sorted({c.shard for c in chosen.values()}):
        at = [i for i, c in chosen.items() if c.shard == shard]
        try:
            rows = tables.read(shard, tables.STORE).take(pa.array([chosen[i].row for i in at]))
        except (StoreError, pa.ArrowException):
            continue
        same = [
            hash == chosen[i].file_hash for i, hash in zip(at, rows["file_hash"].to_pylist(), strict=True)
        ]
        places += [i for i, is_same in zip(at, same, strict=True) if is_same]
        parts.append(rows.filter(pa.array(same, pa.bool_())))
    return places, pa.concat_tables(parts)
