"""A folder of images, walked to its last corner, or one image file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from leakscan.errors import ImageError, SourceError, reason
from leakscan.settings import DecodeOptions
from leakscan.sources.archives import packing_of
from leakscan.sources.collect import Collector
from leakscan.sources.contents import head_of
from leakscan.sources.exclusion import Exclusion
from leakscan.sources.formats import has_image_suffix, pair_header, recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.left_out import LINK_BROKEN, LINK_LOOP, LINK_OUTSIDE, NOT_FETCHED
from leakscan.sources.names import posix_name
from leakscan.sources.subject_rules import SubjectRule
from leakscan.sources.tool_folders import files_below, is_hidden, may_be_image
from leakscan.types import ImageRef, Progress, Status, Tags

_ANNEX = ".git/annex/objects"


_LINK, _FOLDER, _FILE, _OTHER = "link", "folder", "file", "other"


@dataclass(frozen=True)
class _Entry:
    """A file the walk reached, one that is hidden, or what kept it from going on."""

    path: Path
    what: Literal["file", "hidden", "problem"] = "file"
    problem: ImageError | None = None


class DirectorySource:
    """Every image under a folder. An :class:`~leakscan.types.ImageSource`.

    What ``exclude`` names is left out. Hidden files and the folders of programs (``.cache``, ``@eaDir``) are
    not read; what looks like an image there gets a row that says so, unless it is a copy of a file that is
    read. Links are followed inside the folder only, after everything that is really there, so that a file
    that is reached twice keeps the name it has without the link. Images behind links that leave the folder
    get a row each.

    Args:
        root: A folder, or one image file.
        name: The name of the dataset in every table.
        options: The limits and choices for reading headers.
        exclude: Patterns of relative paths to leave out; see :class:`~leakscan.sources.exclusion.Exclusion`.
        subjects: The rule by which paths name subjects, if the user gave one.
        boundary: The folder that links may not leave, ``root`` itself by default. An audit names the whole
            dataset here, because its splits may be folders of links into one pool.

    Raises:
        SourceError: ``root`` is not there, is a file that is no image, or is a folder without files.

    Example:
        >>> from PIL import Image
        >>> from leakscan.types import Silent
        >>> Path("ward").mkdir()
        >>> Image.new("L", (8, 8)).save("ward/film.png")
        >>> _ = Path("ward/notes.txt").write_text("two films")
        >>> source = DirectorySource(Path("ward"), "ward", DecodeOptions())
        >>> [(ref.path, ref.status, ref.error) for ref in source.scan(Silent())]
        [('film.png', 'ok', ''), ('notes.txt', 'ignored', 'It is no image.')]
    """

    def __init__(
        self,
        root: Path,
        name: str,
        options: DecodeOptions,
        exclude: Sequence[str] = (),
        subjects: SubjectRule | None = None,
        boundary: Path | None = None,
    ) -> None:
        self.name = name
        self._options = options
        self._subjects = subjects
        self._left_out = Exclusion(exclude)
        self._file: Path | None = None
        self._hidden: list[Path] = []
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would rename linked roots
        try:
            if self._root.is_file():
                self._root, self._file = self._root.parent, _image_file(self._root)
            elif not self._root.is_dir():
                raise SourceError("{path} does not exist.", "Check the spelling of the path.", path=root)
            self._boundary = (boundary or self._root).resolve()
        except OSError as error:
            raise SourceError(f"{{path}} cannot be read: {reason(error)}.", path=root) from error
        if next(self._entries(), None) is None:
            raise SourceError(
                "{path} holds no files.",
                "Hidden files and those that the setting exclude names do not count.",
                code="folder_empty",
                path=self._root,
            )

    def scan(self, progress: Progress) -> Iterator[ImageRef]:
        """Yields images, then DICOM images, as the walk ends; see :class:`~leakscan.types.ImageSource`.

        Raises:
            SourceError: The files are gone.
        """
        collector = Collector(self._root, self._options, self._left_out.covers, self._declared)
        progress.start("scan", None)
        count = 0
        for entry in chain(self._entries(), self._hidden_entries()):
            count += entry.what != "hidden"
            progress.advance()
            name = self._name(entry.path)
            if entry.problem is not None:
                problem = entry.problem
                yield collector.problem(
                    name, problem.status, problem.sentence, problem.path, problem.left_out
                )
            elif entry.what == "hidden":
                yield from collector.hidden(entry.path, name)
            else:
                yield from collector.add(entry.path, name, self._declared(name))
        yield from collector.finish()
        progress.finish()
        if not count:  # there was one when the folder was opened
            raise SourceError("{path} holds no files any more.", "Is it still mounted?", path=self._root)

    @property
    def patterns_met(self) -> set[str]:
        """The patterns to leave out that met something, once it was scanned."""
        return self._left_out.met

    def _declared(self, name: str) -> Tags:
        return Tags(subject=self._subjects.subject(name) if self._subjects else "")

    def _name(self, path: Path) -> str:
        text, above = str(path), f"{self._root}{os.sep}"
        inside = text[len(above) :] if text.startswith(above) else os.path.relpath(text, self._root)
        return posix_name(inside)

    def _entries(self) -> Iterator[_Entry]:
        if self._file is not None:
            yield _Entry(self._file)
            return
        self._hidden.clear()
        links: list[Path] = []
        visited: dict[tuple[int, int], Path] = {}
        yield from self._walk(self._root, links, visited)
        while links:
            yield from self._linked(links.pop(0), links, visited)

    def _hidden_entries(self) -> Iterator[_Entry]:
        """Files that are hidden, once everything else was reached: a link may lead to what is hidden."""
        for hidden in self._hidden:
            yield from (_Entry(path, "hidden") for path in files_below(hidden, self._covers))

    def _walk(
        self, folder: Path, links: list[Path], visited: dict[tuple[int, int], Path]
    ) -> Iterator[_Entry]:
        """What is really in a folder, sorted, and all below it; links are put aside."""
        pending = [iter([(folder, _FOLDER)])]  # one for each folder on the way down
        while pending:
            path, what = next(pending[-1], (None, ""))
            if path is None:
                pending.pop()
                continue
            try:
                if what == _LINK:
                    links.append(path)
                elif what == _FOLDER:
                    info = path.stat()
                    visited[info.st_dev, info.st_ino] = path
                    pending.append(self._inside(path))
                elif what == _FILE:
                    if not _is_second_half(path):
                        yield _Entry(path)
                else:
                    kind: Status = "unreadable" if has_image_suffix(path.name) else "ignored"
                    yield _problem(path, kind, "It is no regular file.")
            except OSError as error:
                if path == self._root:
                    raise SourceError(f"{{path}} cannot be read: {reason(error)}.", path=path) from error
                yield _problem(path, "unreadable", f"It cannot be read: {reason(error)}.")

    def _inside(self, folder: Path) -> Iterator[tuple[Path, str]]:
        """What is wanted in a folder and what it is, sorted; what is hidden is put aside.

        A folder may hold a million files, so the system is asked once for all of them.
        """
        with os.scandir(folder) as entries:
            inside = sorted((e.name, _what(e)) for e in entries)
        self._hidden.extend(folder / name for name, _ in inside if is_hidden(name))
        above = "" if folder == self._root else self._name(folder) + "/"
        return ((folder / name, what) for name, what in inside if self._wanted(above, name, what == _FOLDER))

    def _linked(
        self, link: Path, links: list[Path], visited: dict[tuple[int, int], Path]
    ) -> Iterator[_Entry]:
        try:
            target = link.resolve(strict=True)
        except FileNotFoundError:
            status: Status = "unreadable" if may_be_image(link.name) else "ignored"
            if _ANNEX in str(link.readlink()):
                words = "It is a git-annex link, and its file was not fetched (git annex get)."
                yield _problem(link, "unreadable", words, left_out=NOT_FETCHED)
                return
            words = "It is a link to a file that does not exist."
            yield _problem(link, status, words, left_out=LINK_BROKEN)
            return
        except (OSError, RuntimeError) as error:
            # Python 3.11 raises a RuntimeError for a loop, later ones an OSError
            if isinstance(error, RuntimeError) or error.errno == errno.ELOOP:
                status = "unsupported" if has_image_suffix(link.name) else "ignored"
                loop = "It is a link that leads back to itself."
                yield _problem(link, status, loop, left_out=LINK_LOOP)
            else:
                yield _problem(link, "unreadable", f"It cannot be read: {reason(error)}.")
            return
        if not target.is_relative_to(self._boundary):
            yield from self._outside(link, target)
        elif target.is_dir():
            info = target.stat()
            known = visited.get((info.st_dev, info.st_ino))
            if known is None:
                yield from self._walk(link, links, visited)
            elif link.is_relative_to(known):
                yield _problem(link, "ignored", "It is a link to a folder that holds it: a loop.")
            else:
                yield _problem(link, "ignored", "It is the same folder as {path}.", self._name(known))
        elif not _is_second_half(link):
            yield _Entry(link)

    def _outside(self, link: Path, target: Path) -> Iterator[_Entry]:
        """A link that leaves the folder: a row for every file behind it that looks like an image.

        Whatever it hides must weigh as much as it would inside, so a linked folder is walked by name.
        """
        error = "It is a link that leaves the folder."
        if target.is_dir():
            # Names only: what lies outside is not opened.
            images = [p for p in files_below(target, lambda _: False) if may_be_image(p.name)]
            for path in images:
                inside = link / path.relative_to(target)
                if not self._covers(inside):
                    error = "It lies behind a link that leaves the folder."
                    yield _problem(inside, "unsupported", error, left_out=LINK_OUTSIDE)
            if not images:
                yield _problem(link, "ignored", f"{error[:-1]}, to a folder without images.")
        elif may_be_image(link.name) or may_be_image(target.name):
            yield _problem(link, "unsupported", error, left_out=LINK_OUTSIDE)
        else:
            yield _problem(link, "ignored", f"{error[:-1]}, to a file that is no image.")

    def _covers(self, path: Path) -> bool:
        return self._left_out.covers(self._name(path))

    def _wanted(self, above: str, name: str, is_folder: bool) -> bool:
        if is_hidden(name) or name.startswith("._"):
            return False
        return self._left_out.empty or not self._left_out.covers(above + posix_name(name) + "/" * is_folder)


def _what(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return _LINK
    if entry.is_dir(follow_symlinks=False):
        return _FOLDER
    return _FILE if entry.is_file(follow_symlinks=False) else _OTHER


def _problem(path: Path, status: Status, error: str, error_path: str = "", left_out: str = "") -> _Entry:
    return _Entry(path, "problem", ImageError(status, error, error_path, left_out))


def _is_second_half(path: Path) -> bool:
    """Whether a file holds the voxels that a header beside it describes."""
    return path.name.lower().endswith((".img", ".img.gz")) and pair_header(path) is not None


def _image_file(path: Path) -> Path:
    header = pair_header(path)
    head = head_of(path, HEAD_BYTES)
    known = any(recognised(head, path.name)) or packing_of(head, path.name) or unread_kind(path.name, head)
    if header is None and not known and not has_image_suffix(path.name):
        raise SourceError(
            "{path} is neither a folder, a manifest nor an image.",
            "Name a folder of images, a manifest (.csv, .tsv, .jsonl, .parquet), an archive or one image.",
            path=path,
        )
    return header or path
