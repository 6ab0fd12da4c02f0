"""What the user typed for a source, taken apart once."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote_plus

from leakscan.errors import SourceError
from leakscan.sources.remote import is_url
from leakscan.sources.table_names import LOOSE, MANIFEST_SUFFIXES

_NAMELESS = tuple(f"manifest{suffix}" for suffix in MANIFEST_SUFFIXES)

STORE_FILE = "store.json"
"""The file by which a fingerprint store is recognised."""

SourceForm = Literal["store", "manifest", "folder", "file", "missing"]


@dataclass(frozen=True)
class SourceSpec:
    """A folder, a manifest or some of its rows, an image file, or a fingerprint store.

    Attributes:
        raw: The text as it was typed.
        path: The folder or file, with ``~`` replaced by the home folder.
        filters: Columns of a manifest and the value that each must have, as ``(column, value)``.
        resolved: The identity of the source. Two texts that name the same source agree in it. The text
            before the first question mark is made absolute and the rest is kept as typed. The names of
            cached stores hash it, so it must never change.
        boundary: The folder that links inside a source may not leave, where it is not the source itself.

    Example:
        >>> spec = SourceSpec.parse("films.csv?split=test&site=St.+Mary")
        >>> spec.path.name, spec.filters
        ('films.csv', (('split', 'test'), ('site', 'St. Mary')))
        >>> str(SourceSpec.parse("films.csv").with_filter("site", "St. Mary"))
        'films.csv?site=St.+Mary'
    """

    raw: str
    path: Path
    filters: tuple[tuple[str, str], ...]
    resolved: str
    boundary: Path | None = None

    @classmethod
    def parse(cls, text: str | os.PathLike[str]) -> SourceSpec:
        """Takes apart what the user typed.

        After a manifest, ``?column=value`` (several joined by ``&``, in the form of a URL's query)
        selects rows. A question mark that is part of an existing name stays there.

        Args:
            text: A path, and for a manifest perhaps a selection of rows.

        Raises:
            SourceError: The selection is not understood.
        """
        if not isinstance(text, str | os.PathLike):
            raise SourceError(
                f"A source is a path, not {type(text).__name__} such as {str(text)[:40]!r}.",
                "Give paths one by one: leakscan.compare(*paths).",
            )
        raw = os.fspath(text)
        if is_url(raw):
            return cls(raw, Path(raw), (), raw)
        path, filters = _split(raw)
        before, mark, after = raw.partition("?")
        return cls(raw, path, filters, str(_expanded(before).resolve()) + mark + after)

    def __str__(self) -> str:
        return self.raw

    @property
    def form(self) -> SourceForm:
        """What lies at the path now."""
        if (self.path / STORE_FILE).is_file():
            return "store"
        if self.path.is_file():
            return "manifest" if _is_manifest(self.path) else "file"
        # Links to nothing and devices are there, and a source says what is wrong with them.
        return "folder" if os.path.lexists(self.path) else "missing"

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders above the source and its own name; a selection of rows belongs to the name."""
        path, mark, selection = self.resolved.partition("?")
        path = path.partition("://")[2] or path
        *folders, last = [part for part in path.split("/") if part] or [path]
        if folders and last.lower() in _NAMELESS:
            last = folders.pop()  # a dataset called manifest.csv would say nothing
        return (*folders, last + mark + selection)

    @property
    def stem(self) -> str:
        """The name of the folder or file without a selection of rows."""
        return Path(self.resolved.partition("?")[0]).name

    def holds(self, path: str) -> bool:
        """Whether a file of the source is still there, by its path in the tables; of a URL nobody knows.

        Args:
            path: The path relative to the source, of a file, of one in an archive, or of a folder of slices.

        Example:
            >>> Path("ward").mkdir()
            >>> Path("ward/film.png").touch()
            >>> SourceSpec.parse("ward").holds("film.png"), SourceSpec.parse("ward").holds("gone.png")
            (True, False)
        """
        if is_url(self.raw):
            return True
        root = self.path if self.path.is_dir() else self.path.parent
        for form in ("NFC", "NFD"):
            place = root / unicodedata.normalize(form, path)
            if os.path.lexists(place) or any(above.is_file() for above in place.parents):
                return True
        return False

    def with_filter(self, column: str, value: str) -> SourceSpec:
        """The rows of this manifest that have a value in a column, as a source of its own.

        Args:
            column: A column that is not filtered yet.
            value: The value that it must have.
        """
        more = f"{'&' if self.filters else '?'}{quote_plus(column)}={quote_plus(value)}"
        filters = (*self.filters, (column, value))
        return SourceSpec(self.raw + more, self.path, filters, self.resolved + more)


def _is_manifest(path: Path) -> bool:
    """Whether a file is a table that names images: its name says so, and not its content otherwise."""
    name = path.name.lower()
    if not name.endswith(MANIFEST_SUFFIXES):
        return False
    if name.endswith(LOOSE):
        from leakscan.sources.formats import recognised
        from leakscan.sources.formats.signatures import HEAD_BYTES

        try:
            with path.open("rb") as stream:
                return not any(recognised(stream.read(HEAD_BYTES), path.name))
        except OSError:
            return True
    from leakscan.sources.manifest_table import is_a_list_of_pictures  # loads pyarrow

    return not is_a_list_of_pictures(path)


def _split(raw: str) -> tuple[Path, tuple[tuple[str, str], ...]]:
    """The path, and the selection of rows."""
    before, mark, after = _at_query(raw)
    if not mark or os.path.lexists(raw) or not before.lower().endswith(MANIFEST_SUFFIXES):
        return _expanded(raw), ()
    try:
        pairs = parse_qsl(after, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        pairs = []
    if not pairs or len(dict(pairs)) < len(pairs):
        raise SourceError(
            f"The selection {after!r} in {{path}} is not understood.",
            "Write column=value, several joined by &, as in films.csv?split=test.",
            path=raw,
        )
    return _expanded(before), tuple(pairs)


def _at_query(raw: str) -> tuple[str, str, str]:
    """Splits where a manifest's name ends and its selection begins; values may hold ``?``."""
    for suffix in MANIFEST_SUFFIXES:
        at = raw.lower().find(suffix + "?")
        if at >= 0:
            end = at + len(suffix)
            return raw[:end], "?", raw[end + 1 :]
    return raw.rpartition("?")


def _expanded(text: str) -> Path:
    """A path with the home folder in place of ``~``; the name of an unknown user stays as it is."""
    return Path(os.path.expanduser(Path(text)))  # noqa: PTH111 - Path.expanduser raises for unknown users
