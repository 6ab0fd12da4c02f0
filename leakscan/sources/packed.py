"""Files that hold files: what a source gathers from archives, compressed files and tables of pictures."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.archives import (
    Member,
    inside,
    is_document,
    is_picture_of_document,
    is_too_deep,
    members,
    packing_of,
)  # fmt: skip
from leakscan.sources.contents import head_of, outer_file
from leakscan.sources.formats import has_image_suffix, recognised
from leakscan.sources.formats.bounds import most_members
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.held_pictures import BARE, unread_content
from leakscan.sources.left_out import ARCHIVE, HIDDEN, LINK_OUTSIDE, OF_TOOLS, OVER_FRAMES
from leakscan.sources.names import posix_name
from leakscan.sources.no_image import ARCHIVE_SUFFIXES, voxels_of_other, why_no_image
from leakscan.sources.split_archives import is_named_part
from leakscan.sources.tool_folders import TOOL_SENTENCE, is_hidden, lies_in_tool_folder
from leakscan.sources.unpacking import LOCK, Packing, container
from leakscan.types import ImageRef, Status, Tags

HIDDEN_SENTENCE = "It is hidden: a name that begins with a dot. Rename it, or leave it out by a pattern."

_COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma")
_TEXTS_OF_DOCUMENTS = re.compile(r"(?:^|/)(?:sharedStrings|sheet\d+|content|document)\.xml\Z")
"""The files of office documents in which the text of cells and paragraphs stands."""
_MOST_ARCHIVES = 1_000
_LEADS_OUT = "archive member that leads out of it"


class Gathers(Protocol):
    """What takes the files that were found in others: a :class:`~leakscan.sources.collect.Collector`."""

    def gather(self, place: str, name: str, tags: Tags, head: bytes, mark: str) -> Iterator[ImageRef]:
        """The images of one file."""
        ...

    def problem(
        self, name: str, status: Status, error: str, error_path: str = "", left_out: str = ""
    ) -> ImageRef:
        """The row of something that is no usable image."""
        ...


class PackedFiles:
    """Opens what packs files and hands every file in it to the collector.

    Args:
        collector: Where the files go.
        options: ``max_frames`` is how many files a small archive may hold.
        left_out: Whether the name of a file in an archive is one that the user leaves out.
        declared: What a name in an archive declares, beside what is declared of the archive.
    """

    def __init__(
        self,
        collector: Gathers,
        options: DecodeOptions,
        left_out: Callable[[str], bool],
        declared: Callable[[str], Tags],
    ) -> None:
        self._collector = collector
        self._options = options
        self._left_out = left_out
        self._declared = declared
        self._archives = 0, ""  # in the file on disk that was opened last, and that file

    def compressed(self, place: str, name: str, tags: Tags, head: bytes, mark: str) -> Iterator[ImageRef]:
        """What a file holds that is compressed as a whole.

        Args:
            place: Where its bytes are.
            name: Its name in the source.
            tags: What is declared of it.
            head: Its first bytes.
            mark: What changes with it.

        Raises:
            ImageError: It is damaged, or lies too deep in others.
        """
        within = inside(place)
        try:
            content = head_of(within, HEAD_BYTES)
        except ImageError:
            promised = has_image_suffix(name) or is_named_part(name)
            if promised or name.lower().endswith((*ARCHIVE_SUFFIXES, *_COMPRESSED_SUFFIXES)):
                raise
            yield self._row(name, why_no_image(name, head, place))
            return
        stem = name.rpartition(".")[0] or name
        if any(recognised(content, stem)) or packing_of(content, stem):
            if is_too_deep(place):
                error = "It is a compressed file deep in other compressed files; unpack the outer one."
                raise ImageError("unsupported", error)
            yield from self._collector.gather(within, name, tags, content, f"{mark}-g")
        elif has_image_suffix(stem) and content and not unread_kind(stem, content):
            error = "Its name promises an image, but what is compressed in it is none."
            yield self._collector.problem(name, "unreadable", error)
        else:
            known = content if unread_kind(stem, content) else head
            why = why_no_image(name, known, place)
            if content and why.status == "ignored" and not why.path:
                held = unread_content(stem, content, within)
                if held is not None and held.left_out == BARE:
                    held = voxels_of_other(name, place) or held
                why = held or why
            yield self._row(name, why)

    def archive(self, place: str, name: str, tags: Tags, packing: Packing, mark: str) -> Iterator[ImageRef]:
        """What lies in an archive or a table of pictures, file by file.

        Args:
            place: Where its bytes are.
            name: Its name in the source.
            tags: What is declared of it, and so of all that it holds.
            packing: What it is.
            mark: What changes with it.

        Raises:
            ImageError: It is damaged, or one of too many archives in archives.
        """
        outer = outer_file(place).as_posix()
        self._archives = self._archives[0] + 1 if self._archives[1] == outer else 0, outer
        if self._archives[0] > _MOST_ARCHIVES:
            error = f"It lies among more than {_MOST_ARCHIVES:,} archives in archives; unpack the outer one."
            raise ImageError("unsupported", error)
        names: set[str] = set()
        links: list[tuple[str, Member]] = []
        document = packing == "zip" and is_document(head_of(place, HEAD_BYTES), name)
        for member, said in _bounded(place, packing, most_members(place, self._options)):
            if document and not is_picture_of_document(member.name):
                if (held := _held_in_document(member)) is not None:
                    names.add(member.name)
                    yield self._row(posix_name(f"{name}/{member.name}"), held)
                continue
            names.add(member.name)
            shown = posix_name(f"{name}/{member.name}")
            if member.name.rpartition("/")[2].startswith("._") or self._left_out(shown):
                continue
            # In a table a name is what somebody called the file elsewhere.
            why = _unwanted(member.name) if packing != "table" else None
            if why is not None:
                if why.left_out == _LEADS_OUT or has_image_suffix(shown):
                    yield self._row(shown, why)
            elif member.link_to:
                links.append((shown, member))
            else:
                own = tags.over(said.over(self._declared(shown)))
                yield from self._member(member, shown, own, names, mark)
        for shown, member in links:
            yield self._link(shown, member, names)
        if not names and not document:
            yield self._collector.problem(name, "ignored", "It is an archive without files.")
        if document and not names:
            yield self._collector.problem(name, "ignored", "It is a document or program without pictures.")

    def _member(
        self, member: Member, shown: str, tags: Tags, names: set[str], mark: str
    ) -> Iterator[ImageRef]:
        """The images of one file in an archive."""
        if member.problem:
            named: Status = "unsupported" if has_image_suffix(shown) or "." not in shown else "ignored"
            status = named if member.status == "ok" else member.status
            yield self._collector.problem(shown, status, member.problem, left_out=ARCHIVE)
            return
        lower = member.name.lower()
        if lower.endswith((".img", ".img.gz")) and _stem(member.name) in {
            _stem(n) for n in names if n.lower().endswith((".hdr", ".hdr.gz"))
        }:
            return
        try:
            head = head_of(member.place, HEAD_BYTES) if member.size else b""
        except (ImageError, OSError) as error:
            status = error.status if isinstance(error, ImageError) else "unreadable"
            sentence = error.sentence if isinstance(error, ImageError) else f"It cannot be read: {error}."
            yield self._collector.problem(shown, status, sentence, left_out=ARCHIVE)
            return
        step = member.place.rpartition(chr(0))[2]
        yield from self._collector.gather(member.place, shown, tags, head, f"{mark}-{step}")

    def _link(self, shown: str, member: Member, names: set[str]) -> ImageRef:
        """The row of a link in an archive: its file is read where it lies, if the archive holds it."""
        folder = member.name.rpartition("/")[0]
        if {member.link_to, posixpath.normpath(posixpath.join(folder, member.link_to))} & names:
            error = "It is a link in an archive, and what it leads to is read where it lies."
            return self._collector.problem(shown, "ignored", error)
        may_be = has_image_suffix(shown) or has_image_suffix(member.link_to)
        error = "It is a link in an archive to a file that the archive does not hold."
        status: Status = "unsupported" if may_be else "ignored"
        return self._collector.problem(shown, status, error, left_out=LINK_OUTSIDE)

    def _row(self, name: str, why: ImageError) -> ImageRef:
        return self._collector.problem(name, why.status, why.sentence, why.path, why.left_out)


def _bounded(place: str, packing: Packing, most: int) -> Iterator[tuple[Member, Tags]]:
    """The members of an archive; an error in place of the first, or after the last that there may be.

    Of a tar file nobody knows how many it holds before it is read to its end.
    """
    for number, found in enumerate(_members(place, packing)):
        if number == most or (number == 0 and count_of(place, packing) > most):
            raise _too_many(most)
        yield found


def count_of(place: str, packing: Packing) -> int:
    """How many files an archive says that it holds, 0 where only reading it tells.

    Example:
        >>> import zipfile
        >>> with zipfile.ZipFile("films.zip", "w") as archive:
        ...     archive.writestr("a.png", b"pixels")
        >>> count_of("films.zip", "zip")
        1
    """
    if packing == "zip":
        with LOCK:
            return len(container(place, "zip").infolist())
    if packing == "table":
        from leakscan.sources.grouped_tables import open_table

        table = open_table(place)
        return sum(table.rows(group) for group in range(table.groups))
    return 0


def _too_many(most: int) -> ImageError:
    words = (
        f"It holds more files or rows than the limit of {most:,} for an archive of its size; raise "
        "max_frames to read all of it."
    )
    return ImageError("unreadable", words, left_out=OVER_FRAMES)


def _held_in_document(member: Member) -> ImageError | None:
    """What to say of a text in a document that holds pictures, as the cells of a worksheet may."""
    if member.problem or not _TEXTS_OF_DOCUMENTS.search(member.name):
        return None
    try:
        return unread_content(member.name, head_of(member.place, HEAD_BYTES), member.place)
    except (ImageError, OSError):
        return None


def _unwanted(name: str) -> ImageError | None:
    """Why a file in an archive is not read for its name's sake, ``None`` where it is."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name:
        words = "Its name leads out of the archive, so it is not read."
        return ImageError("unsupported", words, left_out=_LEADS_OUT)
    if lies_in_tool_folder(name):
        return ImageError("unsupported", TOOL_SENTENCE, left_out=OF_TOOLS)
    if any(is_hidden(part) and part != "." for part in parts):
        return ImageError("unsupported", HIDDEN_SENTENCE, left_out=HIDDEN)
    return None


def _members(place: str, packing: Packing) -> Iterator[tuple[Member, Tags]]:
    if packing == "table":
        from leakscan.sources.table_images import row_members

        yield from row_members(place)
    else:
        yield from ((member, Tags()) for member in members(place, packing))


def _stem(name: str) -> str:
    lower = name.lower().removesuffix(".gz")
    return lower.rpartition(".")[0]
