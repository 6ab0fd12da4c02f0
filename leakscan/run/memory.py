"""What was found about pairs of pictures, so that no pair is checked or matched twice.

Findings are written as they come, each batch in a transaction of its own: whoever stops a run, at any
moment, loses the work of about a second. Several runs may share one file.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from leakscan.decide.copies import COPY_CHECK_VERSION, CopyCheck
from leakscan.decide.copies.slices import SLICE_SEARCH_VERSION, Hits, read_hits, spelt
from leakscan.errors import OutputError
from leakscan.run.places import make_cache

DETAIL_MATCH_VERSION = "look-2"
"""Changes whenever a matcher of equal digest may find something else."""

FOLDS_VERSION = "folds-1"
"""Changes whenever volumes of equal encoder may agree otherwise."""

LOCK_SECONDS = 20.0
"""How long another run's transaction is waited for; one takes milliseconds."""

_BATCH = 10_000  # keys in one question; SQLite takes at most 32,766
_CACHE_KIB = 65_536  # with SQLite's own 2 MB a million questions would read the same pages again and again

Pair = tuple[str, str]
"""The keys of two pictures. They name what is seen of each: the pixels and, of volumes, the voxel size."""

_Row = tuple[Any, ...]

# What SQLite calls its troubles, see https://www.sqlite.org/rescode.html.
_CANNOT_LOCK = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_PROTOCOL",
    "SQLITE_PERM",
    "SQLITE_IOERR_LOCK",
    "SQLITE_IOERR_RDLOCK",
    "SQLITE_IOERR_UNLOCK",
    "SQLITE_IOERR_CHECKRESERVEDLOCK",
)
_OUT_OF_REACH = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR")
_DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR")


@dataclass(frozen=True)
class _Table:
    """One table of the file: a key, and what was found.

    Attributes:
        name: The name of the table.
        columns: What was found: names and SQLite's types.
        read: Makes a finding of a row. It raises ``TypeError`` or ``ValueError`` where the row is damaged.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[_Row], Any]

    @property
    def creation(self) -> str:
        columns = ", ".join(("key BLOB PRIMARY KEY", *self.columns))
        return f"CREATE TABLE IF NOT EXISTS {self.name} ({columns}) WITHOUT ROWID"

    @property
    def insertion(self) -> str:
        return f"INSERT OR REPLACE INTO {self.name} VALUES ({_marks(1 + len(self.columns))})"

    def question(self, keys: int) -> str:
        return f"SELECT * FROM {self.name} WHERE key IN ({_marks(keys)})"


def _read_check(row: _Row) -> CopyCheck:
    same_image, correlation, inliers, transform, overlap = row
    return CopyCheck(bool(same_image), _number(correlation), int(inliers), str(transform), float(overlap))


def _read_match(row: _Row) -> float:
    (found,) = row
    return _number(found)


def _number(value: Any) -> float:
    """A number of the file; SQLite keeps NaN as a null."""
    return math.nan if value is None else float(value)


_COPY_CHECKS = _Table(
    "copy_checks",
    ("same_image INTEGER", "correlation REAL", "inliers INTEGER", "transform TEXT", "overlap REAL"),
    _read_check,
)
_DETAIL_MATCHES = _Table("detail_matches", ("found REAL",), _read_match)
_FOLD_AGREEMENTS = _Table("fold_agreements", ("found REAL",), _read_match)
_SLICE_SEARCHES = _Table("slice_searches", ("found TEXT",), lambda row: read_hits(str(*row)))


class PairMemory:
    """Copy checks, detail matches and agreements of folds by pair of pictures, and searches for slices.

    They are kept in one SQLite file.

    The order of the two pictures does not matter. A finding belongs to the version of what made it, and
    other versions do not see it. A damaged file is forgotten, as everything in it can be found again. Where
    the file system cannot lock files, findings are kept in this process only.

    Args:
        path: The file. It is made, with its folder, when there is something to keep. ``None`` keeps what is
            found in this process only.

    Example:
        >>> memory = PairMemory(None)
        >>> memory.keep_detail_matches("a network", [("one", "two", 1.5)])
        >>> memory.detail_matches("a network", [("two", "one"), ("one", "three")])
        {('two', 'one'): 1.5}
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        # What is not in the file: everything where there is none, else what could not be written yet.
        self._held: dict[_Table, dict[bytes, _Row]] = {
            table: {} for table in (_COPY_CHECKS, _DETAIL_MATCHES, _FOLD_AGREEMENTS, _SLICE_SEARCHES)
        }

    def copy_checks(self, pairs: Sequence[Pair]) -> Mapping[Pair, CopyCheck]:
        """What is known of some pairs of pictures.

        Args:
            pairs: The pairs in question.

        Returns:
            What was found of each pair that is known; turns are told from its first picture to its second.
        """
        known = self._find(_COPY_CHECKS, COPY_CHECK_VERSION, pairs)
        return {(a, b): check if a <= b else check.swapped() for (a, b), check in known.items()}

    def keep_copy_checks(self, found: Iterable[tuple[str, str, CopyCheck]]) -> None:
        """Writes copy checks at once; what cannot be written now is tried again with the next ones.

        Args:
            found: The keys of two pictures, and what was found of them in this order.
        """
        rows: dict[bytes, _Row] = {}
        for a, b, check in found:
            one = check if a <= b else check.swapped()
            values = (one.same_image, one.correlation, one.inliers, one.transform, one.overlap)
            rows[_key(COPY_CHECK_VERSION, a, b)] = values
        self._keep(_COPY_CHECKS, rows)

    def detail_matches(self, matcher: str, pairs: Sequence[Pair]) -> Mapping[Pair, float]:
        """What one matcher found of some pairs of pictures, as far as it is known.

        Args:
            matcher: The digest of the matcher.
            pairs: The pairs in question.
        """
        return self._find(_DETAIL_MATCHES, f"{DETAIL_MATCH_VERSION}|{matcher}", pairs)

    def keep_detail_matches(self, matcher: str, found: Iterable[tuple[str, str, float]]) -> None:
        """Writes detail matches at once; what cannot be written now is tried again with the next ones.

        Args:
            matcher: The digest of the matcher.
            found: The keys of two pictures, and what was found of them.
        """
        version = f"{DETAIL_MATCH_VERSION}|{matcher}"
        self._keep(_DETAIL_MATCHES, {_key(version, a, b): (value,) for a, b, value in found})

    def fold_agreements(self, encoder: str, pairs: Sequence[Pair]) -> Mapping[Pair, float]:
        """How the folds of some pairs of volumes agree by one encoder, as far as it is known.

        Args:
            encoder: The name of the encoder, with its digest.
            pairs: The pairs in question.
        """
        return self._find(_FOLD_AGREEMENTS, f"{FOLDS_VERSION}|{encoder}", pairs)

    def keep_fold_agreements(self, encoder: str, found: Iterable[tuple[str, str, float]]) -> None:
        """Writes fold agreements at once; what cannot be written now is tried again with the next ones.

        Args:
            encoder: The name of the encoder, with its digest.
            found: The keys of two volumes, and how they agree.
        """
        version = f"{FOLDS_VERSION}|{encoder}"
        self._keep(_FOLD_AGREEMENTS, {_key(version, a, b): (value,) for a, b, value in found})

    def slice_searches(self, searches: Sequence[Pair]) -> Mapping[Pair, Hits]:
        """What is known of searches for pictures among the slices of volumes.

        Args:
            searches: The keys of a volume and of all the pictures that were sought in it at once. So there is
                one finding a volume, and none for each of the many pairs that are far from each other.
        """
        return self._find(_SLICE_SEARCHES, SLICE_SEARCH_VERSION, searches)

    def keep_slice_searches(self, found: Iterable[tuple[str, str, Hits]]) -> None:
        """Writes what searches found at once; what cannot be written now is tried again with the next ones.

        Args:
            found: The keys of a volume and of the pictures, and the hits.
        """
        rows = {_key(SLICE_SEARCH_VERSION, a, b): (spelt(hits),) for a, b, hits in found}
        self._keep(_SLICE_SEARCHES, rows)

    def save(self) -> None:
        """Writes what could not be written when it was found. A run calls it at its end.

        A run does not stop because its memory cannot be written: the disk may have room again in a minute.
        But nobody is left to believe that the next run will be quick.

        Raises:
            OutputError: It still cannot be written: the disk is full, or nothing may be written there.
        """
        trouble = self._write()
        if trouble is not None:
            reason = trouble.message if isinstance(trouble, OutputError) else f"{trouble}."
            raise OutputError(
                f"What was found about pairs cannot be kept in {{path}}: {reason}",
                "Make room on the disk, or choose a cache folder that can be written.",
                code="memory_unwritable",
                path=self._path,
            ) from trouble

    def _find(self, table: _Table, version: str, pairs: Sequence[Pair]) -> dict[Pair, Any]:
        keys = [_key(version, a, b) for a, b in pairs]
        known = self._read(table, keys)
        held = self._held[table]
        known |= {key: table.read(held[key]) for key in keys if key in held} if held else {}
        return {pair: known[key] for key, pair in zip(keys, pairs, strict=True) if key in known}

    def _read(self, table: _Table, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """What the file knows; nothing where it is not there, not readable, or damaged."""
        if self._path is None or not keys or not self._path.is_file():
            return {}
        before = _state(self._path)
        try:
            with closing(_connected(self._path, "rw")) as file:
                return {key: table.read(tuple(row)) for key, *row in _asked(file, table, keys)}
        except (sqlite3.Error, TypeError, ValueError) as error:
            self._give_way(error, before)
            return {}

    def _keep(self, table: _Table, rows: Mapping[bytes, _Row]) -> None:
        if rows:
            self._held[table].update(rows)
            self._write()

    def _write(self) -> Exception | None:
        """Writes all that is held. Returns what was in the way, if the file is there to be written at all."""
        trouble: Exception | None = None
        for _ in range(2):  # a damaged file is given up, and the second try makes a new one
            if self._path is None or not any(self._held.values()):
                return None
            before = _state(self._path)
            try:
                make_cache(self._path.parent)
                with closing(_connected(self._path, "rwc")) as file:
                    file.execute("BEGIN IMMEDIATE")
                    for table, rows in self._held.items():
                        file.execute(table.creation)
                        file.executemany(table.insertion, ((key, *row) for key, row in rows.items()))
                    file.execute("COMMIT")
            except OutputError as error:
                return error
            except sqlite3.Error as error:
                trouble = error
                if not self._give_way(error, before):
                    return error
            else:
                for rows in self._held.values():
                    rows.clear()
                return None
        return trouble

    def _give_way(self, error: Exception, before: tuple[int, ...]) -> bool:
        """Leaves a file that cannot be used: for this run where it cannot be locked, for ever if damaged.

        Args:
            error: What happened.
            before: The state of the file before it was opened. Another run may have replaced it since.

        Returns:
            Whether another try may do better.
        """
        assert self._path is not None
        name = str(getattr(error, "sqlite_errorname", ""))
        if name in _CANNOT_LOCK:
            self._path = None
            return True
        if name.startswith(_OUT_OF_REACH):
            return False
        if not (name.startswith(_DAMAGED) or isinstance(error, TypeError | ValueError) or _not_text(error)):
            raise error
        if _state(self._path) == before:
            try:
                self._path.unlink()
            except OSError:
                return False
        return True


def _key(version: str, a: str, b: str) -> bytes:
    """A digest of a pair and of what compared it. With 16 bytes a million findings take 30 MB."""
    return blake3("\n".join((version, *sorted((a, b)))).encode()).digest(16)


def _marks(number: int) -> str:
    return ", ".join("?" * number)


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """Opens the file for one transaction. A rollback journal works on more systems than a write-ahead log."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, timeout=LOCK_SECONDS, isolation_level=None, uri=True)


def _asked(file: sqlite3.Connection, table: _Table, keys: Sequence[bytes]) -> Iterator[_Row]:
    if not file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table.name,)).fetchone():
        return
    file.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        # All at once: a cursor that is still open when a damaged row stops the reading outlives the file.
        yield from file.execute(table.question(len(batch)), batch).fetchall()


def _state(path: Path) -> tuple[int, ...]:
    """Differs for another file in the same place, and after a change."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _not_text(error: Exception) -> bool:
    """Whether a text of the file is no UTF-8, for which Python has no name."""
    return isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorname")
