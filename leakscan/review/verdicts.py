"""What people said of pairs: one append-only file of verdicts, which outlives runs and moved files.

A verdict names pictures by the hash of their pixels and subjects by keyed hashes, so that it holds when
files move, and tells nobody who was seen. A file of verdicts is one Parquet table. Every call of
:meth:`VerdictFile.append` takes a lock, reads the table, and puts the longer table in its place in one step:
two reviewers lose nothing of each other, a kill loses nothing that was appended before, and readers need no
lock. A folder with one file for each verdict would need no lock either, but ten thousand small files take
ten seconds to read, and could be neither mailed nor committed as one thing; rewriting a table of ten
thousand verdicts takes some 50 ms, which is less than a person notices.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from leakscan import tables
from leakscan.errors import LeakscanError, OutputError, StoreError, UsageError

Word = Literal["same", "different", "unsure", "wanted", "withdrawn"]
WORDS: tuple[Word, ...] = get_args(Word)
"""What can be said: one person; two people; cannot tell; the overlap is meant to be; not said any more."""

Scope = Literal["pair", "subjects", "subject", "datasets"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""What a verdict is about: two pictures, two subjects with all their pictures, one subject wherever it is
found, or everything that two datasets share. The narrowest one goes first."""

_LOCK_SECONDS = 60.0
_LISTS = ("pictures_a", "pictures_b", "evidence")

About = tuple[Any, ...]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one person said at one time; a row of the table ``tables.VERDICTS``.

    :meth:`leakscan.review.judged_run.JudgedRun.verdict` makes one from the rows of a run.

    Attributes:
        by: The name of the person.
        verdict: What was said, one of ``WORDS``. ``withdrawn`` takes back what the same person said of the
            same thing before.
        scope: What it is about, one of ``SCOPES``.
        dataset_a: The name of the dataset of the first side.
        dataset_b: The name of the dataset of the second side.
        subject_a: The declared subject of the first side as a keyed hash, never in clear.
        subject_b: The declared subject of the second side, likewise.
        key_id: The name of the key that hashed the subjects.
        pictures_a: Pixel hashes of the pictures of the first side.
        pictures_b: Pixel hashes of the pictures of the second side.
        members: Pixel hashes of all pictures that stood in the group of the two sides; ``None`` where that
            is not known. A picture that joins later reopens a cleared pair.
        relation: The strongest relation that the run had found; a stronger one reopens it.
        decision: What the run had called it.
        score: Its score.
        p_value: Its p-value.
        probability: Its probability to be one person.
        evidence: The sentences that the person had before them.
        note: What the person wrote beside it.
        reason: Why the overlap is wanted.
        until: The last day on which it holds, ``None`` for ever.
        blind: Whether scores and labels were hidden until it was given.
        gold: The known answer of a pair that was put there to measure the reviewer; such a verdict is
            never applied.
        at: The time, in UTC.
        id: A name that no other verdict has.

    Raises:
        UsageError: The word, the scope or what it is about does not fit.

    Example:
        >>> verdict = Verdict(by="ann", verdict="same", scope="pair", pictures_a=("p1",), pictures_b=("p2",))
        >>> verdict.about
        ('pair', 'p1', 'p2')
    """

    by: str
    verdict: Word
    scope: Scope
    dataset_a: str | None = None
    dataset_b: str | None = None
    subject_a: str | None = None
    subject_b: str | None = None
    key_id: str | None = None
    pictures_a: tuple[str, ...] = ()
    pictures_b: tuple[str, ...] = ()
    members: tuple[str, ...] | None = None
    relation: str | None = None
    decision: str | None = None
    score: float | None = None
    p_value: float | None = None
    probability: float | None = None
    evidence: tuple[str, ...] = ()
    note: str = ""
    reason: str = ""
    until: dt.date | None = None
    blind: bool = False
    gold: str | None = None
    at: dt.datetime = field(default_factory=_now)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if self.verdict not in WORDS:
            raise UsageError(f"A verdict is one of {', '.join(WORDS)}, not {self.verdict!r}.")
        if self.scope not in SCOPES:
            raise UsageError(f"A verdict is about one of {', '.join(SCOPES)}, not {self.scope!r}.")
        if self.scope in ("subject", "datasets") and self.verdict not in ("wanted", "withdrawn"):
            raise UsageError(f"Of scope {self.scope}, an overlap can only be wanted, not {self.verdict!r}.")
        if not self.by.strip():
            raise UsageError("A verdict needs the name of the person who gave it.")
        if not all(self._ends()):
            raise UsageError(f"The verdict {self.id} of scope {self.scope} does not say what it is about.")

    @property
    def about(self) -> About:
        """What it is about, equal for all verdicts on the same thing, whichever side comes first."""
        return (self.scope, *sorted(self._ends()))

    def _ends(self) -> list[str]:
        if self.scope == "datasets":
            return [self.dataset_a or "", self.dataset_b or ""]
        ends = [(self.dataset_a, self.subject_a, self.pictures_a)]
        if self.scope != "subject":
            ends.append((self.dataset_b, self.subject_b, self.pictures_b))
        if self.scope == "pair":
            return [" ".join(pictures) for _, _, pictures in ends]
        return [
            f"{dataset or ''}\n{subject}" if subject else " ".join(sorted(pictures))
            for dataset, subject, pictures in ends
        ]

    def row(self) -> dict[str, Any]:
        """The verdict as a row of the table."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Verdict:
        """The verdict of a row of the table; what is null has its default.

        Raises:
            UsageError: The row makes no sense.
        """
        given = {f.name: row[f.name] for f in fields(cls) if row.get(f.name) is not None}
        given |= {name: tuple(given[name]) for name in (*_LISTS, "members") if name in given}
        if missing := [name for name in ("by", "verdict", "scope") if name not in given]:
            raise UsageError(f"A verdict has no {missing[0]}.")
        return cls(**given)


class VerdictFile:
    """A file of verdicts; it need not exist before the first is appended.

    Args:
        path: The file, ``verdicts.parquet`` by custom. A file of the same name that ends in ``.lock``
            appears beside it and may be deleted whenever nobody is writing.

    Example:
        >>> file = VerdictFile(Path("verdicts.parquet"))
        >>> file.append(
        ...     [Verdict(by="ann", verdict="same", scope="pair", pictures_a=("p1",), pictures_b=("p2",))]
        ... )
        1
        >>> [(v.by, v.verdict) for v in file.read()]
        [('ann', 'same')]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: Path) -> VerdictFile:
        """A file of verdicts that is there, so that a wrong path is not taken for "no verdicts".

        Raises:
            UsageError: There is no such file.
        """
        if not path.is_file():
            raise UsageError(
                "There is no file of verdicts {path}.",
                "Check the path; a review makes such a file.",
                code="no_verdicts",
                path=path,
            )
        return cls(path)

    def read(self, known: Sequence[Verdict] = ()) -> list[Verdict]:
        """All verdicts, in the order in which they were appended; none where there is no file.

        Args:
            known: What an earlier reading gave. Where the file still begins with it, only what came after it
                is made into verdicts, so that a reading after each verdict stays quick among thousands.

        Raises:
            StoreError: The file is damaged, of another schema, or holds a row that makes no sense.
        """
        if not self.path.exists():
            return []
        table = self._readable(tables.read, self.path, tables.VERDICTS)
        begins = table["id"].slice(0, len(known)).to_pylist() == [verdict.id for verdict in known]
        before = list(known) if begins else []
        try:
            return before + [Verdict.of_row(row) for row in table.slice(len(before)).to_pylist()]
        except UsageError as error:
            raise self._not_ours(f"{{path}} holds a row that is no verdict: {error.message}") from error

    def append(self, verdicts: Iterable[Verdict]) -> int:
        """Adds verdicts at the end. They are on disk when this returns; those that are there are not doubled.

        Args:
            verdicts: The verdicts to add.

        Returns:
            How many were new.

        Raises:
            OutputError: The file cannot be written, or somebody else keeps it locked for a minute.
            StoreError: The file that is there is damaged or of another schema. It is left as it is.
        """
        given = {verdict.id: verdict for verdict in verdicts}
        try:
            with FileLock(f"{self.path}.lock", timeout=_LOCK_SECONDS):
                old = self._table()
                known = set(old["id"].to_pylist())
                new = [verdict for name, verdict in given.items() if name not in known]
                if new:
                    rows = tables.from_rows([verdict.row() for verdict in new], tables.VERDICTS)
                    # A later version's columns stay, with nulls in the new rows.
                    joined = pa.concat_tables([old, rows], promote_options="default")
                    tables.write(joined.replace_schema_metadata(tables.VERDICTS.metadata), self.path)
                return len(new)
        except Timeout as error:
            raise OutputError("{path} is locked by another program.", path=self.path) from error
        except OSError as error:
            why = error.strerror or str(error)
            raise OutputError(f"The verdicts {{path}} cannot be written: {why}.", path=self.path) from error

    def _table(self) -> pa.Table:
        if not self.path.exists():
            return tables.VERDICTS.empty_table()
        known = self._readable(tables.read, self.path, tables.VERDICTS)
        schema = self._readable(pq.read_schema, self.path)
        if more := [name for name in schema.names if name not in known.column_names]:
            raw = self._readable(tables.read_parquet, self.path, more)
            for name in more:
                known = known.append_column(raw.schema.field(name), raw[name])
        return known

    def _readable(self, read: Any, *arguments: Any) -> pa.Table:
        try:
            return read(*arguments)
        except (StoreError, pa.ArrowException, OSError) as error:
            sentence = error.sentence if isinstance(error, LeakscanError) else "{path} cannot be read."
            raise self._not_ours(sentence, csv=_is_text(self.path)) from error

    def _not_ours(self, sentence: str, csv: bool = False) -> StoreError:
        if csv:
            return StoreError(
                "{path} is a text, and no file of verdicts.",
                "An edited CSV file of verdicts is read back into the file that it came from.",
                code="verdicts_are_csv",
                path=self.path,
            )
        return StoreError(
            sentence,
            "It is left as it is: verdicts cannot be made again. Take a copy from before, or name another "
            "file.",
            code="verdicts_unreadable",
            path=self.path,
        )


def _is_text(path: Path) -> bool:
    """Whether a file that is no Parquet file begins with a text."""
    try:
        with path.open("rb") as file:
            begin = file.read(64).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    return bool(begin) and "".join(begin.split()).isprintable()
