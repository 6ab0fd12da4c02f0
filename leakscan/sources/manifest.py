"""A table that lists images: CSV, JSON or Parquet with ``path`` and what is declared about each."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from leakscan.counted import counted
from leakscan.errors import SourceError, reason
from leakscan.settings import DecodeOptions
from leakscan.sources.collect import Collector
from leakscan.sources.exclusion import Exclusion
from leakscan.sources.formats import pair_header
from leakscan.sources.identity import normalised, visible
from leakscan.sources.left_out import LINK_OUTSIDE, ROW_MISSING, ROW_OUTSIDE
from leakscan.sources.listed_files import ListedFiles, is_pattern
from leakscan.sources.manifest_table import Manifest, column_named, listed
from leakscan.sources.names import posix_name
from leakscan.sources.spec import SourceSpec
from leakscan.sources.subject_rules import SubjectRule
from leakscan.sources.written_tables import Columns
from leakscan.types import KINDS, ImageRef, Progress, Tags

_NOTHING = frozenset({"", "nan", "none", "null", "n/a", "na", "<na>", "nat", "-"})


class ManifestSource:
    r"""The images that the rows of a table name. An :class:`~leakscan.types.ImageSource`.

    A manifest is a table of any kind that :func:`~leakscan.sources.written_tables.read_table` reads. Its
    column ``path`` is relative to its folder; ``subject_id``, ``split``, ``kind``, ``study_uid``,
    ``series_uid`` and ``sop_uid`` are optional. Columns may have other names, see
    :class:`~leakscan.sources.manifest_table.Manifest`. A path that is spelt otherwise than on disk is found,
    and its row says so. A row may name a folder, or several files: what it declares is declared of each.

    Attributes:
        notices: What a user should know of the table, in sentences.
        patterns_met: The patterns to leave out that met a row.

    Args:
        spec: The manifest, and which of its rows count.
        name: The name of the dataset in every table.
        options: The limits and choices for reading headers.
        exclude: Patterns of paths to leave out, as in a :class:`~leakscan.sources.directory.DirectorySource`.
        subjects: The rule by which paths name subjects, where the column is absent or empty.
        columns: What the manifest calls its columns, where it calls them otherwise.

    Raises:
        SourceError: The table cannot be read, lacks a column, or has no row that the filters ask for.

    Example:
        >>> from PIL import Image
        >>> from leakscan.types import Silent
        >>> Image.new("L", (8, 8)).save("film.png")
        >>> _ = Path("films.csv").write_text("path,subject_id,split\nfilm.png,P7,test\n")
        >>> source = ManifestSource(SourceSpec.parse("films.csv?split=test"), "films", DecodeOptions())
        >>> [(ref.path, ref.tags.subject) for ref in source.scan(Silent())]
        [('film.png', 'P7')]
    """

    def __init__(
        self,
        spec: SourceSpec,
        name: str,
        options: DecodeOptions,
        exclude: Sequence[str] = (),
        subjects: SubjectRule | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._options = options
        self._subjects = subjects
        path = spec.path
        self._root = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would rename linked roots
        manifest = Manifest.read(path, columns)
        table = manifest.table
        self.notices = list(manifest.notices)
        for column in dict(spec.filters):
            if column_named(table, column) is None:
                raise SourceError(
                    f"The manifest {{path}} has no column {column!r}.",
                    f"It has {listed(list(table))}.",
                    path=path,
                )
        rows: Sequence[int] = range(len(table["path"]))
        for column, value in spec.filters:
            values = table[column_named(table, column) or column]
            rows_left = [i for i in rows if same_value(values[i]) == same_value(value)]
            if rows and not rows_left:
                raise SourceError(
                    f"No row of the manifest {{path}} has {column} = {value!r}.",
                    f"Among these rows {column} is {listed(sorted({values[i] for i in rows}))}.",
                    path=path,
                )
            rows = rows_left
        left_out = Exclusion(exclude)
        self.patterns_met = left_out.met
        rows = [i for i in rows if not left_out.covers(posix_name(table["path"][i].replace("\\", "/")))]
        if not rows:
            raise SourceError(
                "The manifest {path} lists no images.",
                "Rows that the setting exclude names do not count.",
                code="manifest_empty",
                path=path,
            )
        self._files = ListedFiles(self._root, table["path"])
        self._rows = [self._row(table, i) for i in rows]
        self.notices += _disagreements(self._rows, path.name)
        for (_, tags), i in zip(self._rows, rows, strict=True):
            if tags.kind and tags.kind not in KINDS:
                raise SourceError(
                    f"Row {i + 1} of the manifest {{path}} has the kind {tags.kind!r}.",
                    f"Kinds are {', '.join(KINDS)}; leave it empty if unknown.",
                    path=path,
                )

    def scan(self, progress: Progress) -> Iterator[ImageRef]:
        """Yields images in the order of the rows, then DICOM images; every row is accounted for."""
        collector = Collector(self._root, self._options)
        progress.start("scan", len(self._rows))
        for named, tags in self._rows:
            yield from self._images(collector, named, tags)
            progress.advance()
        yield from collector.finish()
        progress.finish()

    def _row(self, table: Columns, i: int) -> tuple[str, Tags]:
        def cell(column: str) -> str:
            known = column_named(table, column)
            return table[known][i].strip() if known is not None else ""

        path = table["path"][i]
        subject = cell("subject_id")
        if not subject and self._subjects is not None:
            subject = self._subjects.subject(path)
        uids = {name: cell(name) for name in ("study_uid", "series_uid", "sop_uid")}
        return path, Tags(subject=subject, kind=cell("kind"), split=cell("split"), **uids)

    def _images(self, collector: Collector, named: str, tags: Tags) -> Iterator[ImageRef]:
        if not named.strip():
            yield collector.problem("", "unreadable", "A row of the manifest names no file.")
            return
        path, how = self._files.find(named)
        if not path.is_relative_to(self._root):
            error = "The manifest names a path outside its folder; put the manifest above the images."
            yield collector.problem(posix_name(named), "unreadable", error, left_out=ROW_OUTSIDE)
            return
        name = posix_name(os.path.relpath(path, self._root))
        try:
            if not path.resolve().is_relative_to(self._root.resolve()):
                error = "It is a link that leaves the folder."
                yield collector.problem(name, "unsupported", error, left_out=LINK_OUTSIDE)
            elif path.is_dir() or (is_pattern(path) and not path.exists()):
                yield from self._several(collector, path, name, tags)
            elif not path.exists():
                error, near = "The manifest names it, but it does not exist.", self._files.namesake(named)
                if near is not None:
                    error = "The manifest names it, but it does not exist; {path} has its name."
                there = "" if near is None else posix_name(os.path.relpath(near, self._root))
                yield collector.problem(name, "unreadable", error, there, left_out=ROW_MISSING)
            else:
                header = pair_header(path)
                if header is not None:
                    name = posix_name(os.path.relpath(header, self._root))
                for ref in collector.add(header or path, name, tags):
                    yield replace(ref, notes=(*ref.notes, how)) if how else ref
        except (OSError, RuntimeError, ValueError) as e:
            why = reason(e) if isinstance(e, OSError) else str(e)
            yield collector.problem(name, "unreadable", f"It cannot be read: {why}.")

    def _several(self, collector: Collector, path: Path, name: str, tags: Tags) -> Iterator[ImageRef]:
        """The images of a row that names a folder, or a pattern for files."""
        found = list(self._files.below(path))
        for one in found:
            yield from collector.add(one, posix_name(os.path.relpath(one, self._root)), tags)
        if not found:
            error = "It is a folder without files." if path.is_dir() else "No file is called so."
            yield collector.problem(name, "unreadable", error, left_out=ROW_MISSING)


def _disagreements(rows: Sequence[tuple[str, Tags]], manifest: str) -> list[str]:
    """What to say of files that are listed under several subjects."""
    subjects: dict[str, set[str]] = {}
    for named, tags in rows:
        if tags.subject:
            subjects.setdefault(named.strip(), set()).add(normalised(tags.subject))
    several = sum(len(found) > 1 for found in subjects.values())
    if not several:
        return []
    return [f"{manifest} lists {counted(several, 'file')} under several subjects: the first counts."]


def column_values(
    path: Path, column: str, left_out: Exclusion | None = None, named: Mapping[str, str] | None = None
) -> list[str]:
    r"""One column of a manifest as text, empty where it is null.

    Args:
        path: The manifest.
        column: The name of the column.
        left_out: The paths whose rows do not count.
        named: What the manifest calls its columns, where it calls them otherwise.

    Raises:
        SourceError: The table cannot be read or has no such column.

    Example:
        >>> _ = Path("films.csv").write_text("path,split\na.png,train\nb.png,\n")
        >>> column_values(Path("films.csv"), "split")
        ['train', '']
    """
    table = Manifest.read(path, named).table
    known = column_named(table, column)
    if known is None:
        raise SourceError(
            f"The manifest {{path}} has no column {column!r}.", f"It has {listed(list(table))}.", path=path
        )
    return [
        value.strip()
        for path, value in zip(table["path"], table[known], strict=True)
        if left_out is None or not left_out.covers(posix_name(path.replace("\\", "/")))
    ]


def values_by_path(path: Path, column: str, named: Mapping[str, str] | None = None) -> dict[str, str]:
    r"""One column of a manifest, by the path that its images have in the tables.

    A folder whose files all have one value has it too, because a series of slices goes by its folder.

    Args:
        path: The manifest.
        column: The name of the column.
        named: What the manifest calls its columns, where it calls them otherwise.

    Raises:
        SourceError: The table cannot be read or has no such column.

    Example:
        >>> Path("ward").mkdir()
        >>> Path("ward/a.png").touch()
        >>> _ = Path("films.csv").write_text("path,label\n./ward/A.png,cyst\n")
        >>> values_by_path(Path("films.csv"), "label")
        {'ward/a.png': 'cyst', 'ward': 'cyst'}
    """
    root = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would rename linked roots
    paths = column_values(path, "path", None, named)
    files = ListedFiles(root, paths)
    values = column_values(path, column, None, named)
    found: dict[str, str] = {}
    folders: dict[str, set[str]] = {}
    for listed_path, value in zip(paths, values, strict=True):
        spelt = files.find(listed_path)[0]
        several = spelt.is_dir() or is_pattern(spelt)
        for place in [spelt, *files.below(spelt)] if several else [pair_header(spelt) or spelt]:
            name = posix_name(os.path.relpath(place, root))
            found.setdefault(name, value)
            folders.setdefault(name.rpartition("/")[0], set()).add(value)
    alike = {folder: min(several) for folder, several in folders.items() if folder and len(several) == 1}
    return found | {folder: value for folder, value in alike.items() if folder not in found}


def same_value(value: str) -> str:
    """A value of a column without what tables add to it: space, case, and words for "nothing".

    Example:
        >>> same_value(" TRAIN "), same_value("NaN")
        ('train', '')
    """
    plain_value = unicodedata.normalize("NFKC", visible(value)).strip().casefold()
    return "" if plain_value in _NOTHING else plain_value
