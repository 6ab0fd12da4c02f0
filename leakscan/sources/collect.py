"""Files to image references: what folders and manifests have in common."""

from __future__ import annotations

import os
import posixpath
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from leakscan.errors import ImageError, reason
from leakscan.settings import DecodeOptions
from leakscan.sources.archives import Member, inside, is_too_deep, members, packing_of
from leakscan.sources.contents import head_of, is_inside, mark_of, sampled
from leakscan.sources.formats import has_image_suffix, inspect, recognised
from leakscan.sources.formats.bounds import limited, quiet
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.left_out import (
    ARCHIVE,
    HIDDEN,
    LINK_OUTSIDE,
    NO_PERMISSION,
    left_out_as,
)
from leakscan.sources.no_image import ARCHIVE_SUFFIXES, why_no_image
from leakscan.sources.unpacking import Packing
from leakscan.types import ImageRef, Status, Tags

if TYPE_CHECKING:  # pydicom is slow to import and most sources hold no DICOM
    from leakscan.sources.formats.dicom import DicomHeader

_COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_MOST_ARCHIVES = 1_000


def posix_name(relative: str) -> str:
    r"""A relative path as tables show it and ids hash it: posix, NFC, valid Unicode.

    Args:
        relative: The path as the operating system gives it; bytes that are no UTF-8 are shown escaped.

    Example:
        >>> posix_name("ward/Ro\u0308ntgen.png") == "ward/R\u00f6ntgen.png"
        True
    """
    text = unicodedata.normalize("NFC", relative.replace(os.sep, "/"))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Collector:
    """Turns the files of one source into image references, one after the other.

    DICOM files are kept as headers until :meth:`finish`, because an image may be a whole series.
    Archives are opened, and every file in them is a file of the source.

    Args:
        root: The source's folder, absolute; DICOM paths are made relative to it.
        options: The limits and choices for reading headers.
        left_out: Whether the name of a file in an archive is one that the user leaves out.
        declared: What a name in an archive declares, beside what is declared of the archive.
    """

    def __init__(
        self,
        root: Path,
        options: DecodeOptions,
        left_out: Callable[[str], bool] = lambda _: False,
        declared: Callable[[str], Tags] = lambda _: Tags(),
    ) -> None:
        self._root = root
        self._options = options
        self._left_out = left_out
        self._declared_by_name = declared
        self._reached: dict[tuple[int, int], str] = {}
        self._names: set[str] = set()
        self._headers: list[DicomHeader] = []
        self._declared: dict[str, Tags] = {}
        self._archives = 0

    def add(self, path: Path, name: str, tags: Tags) -> Iterator[ImageRef]:
        """The images of one file, or why it has none; nothing yet for DICOM.

        Args:
            path: The absolute path; links are followed.
            name: The file's :func:`posix_name` in the source.
            tags: What the manifest or the naming rule declares; it wins over the file's header.
        """
        try:
            sample = sampled(str(path))
        except OSError as error:
            sentence = f"It cannot be read: {reason(error)}."
            yield self.problem(name, "unreadable", sentence, left_out=NO_PERMISSION)
            return
        info = sample.info
        if not sample.mark:
            yield self.problem(name, "unreadable", "It is a folder or device, not a file.")
            return
        first = self._reached.get((info.st_dev, info.st_ino)) if info.st_ino else None
        if first == name:
            yield self.problem(name, "ignored", "It is listed more than once.")
        elif first is not None:
            yield self.problem(name, "ignored", "It is the same file as {path}.", first)
        else:
            self._reached[info.st_dev, info.st_ino] = name
            yield from self._add(str(path), name, tags, sample.head[:HEAD_BYTES], sample.mark)

    def add_place(self, place: str, name: str, tags: Tags) -> Iterator[ImageRef]:
        """The images of a file that lies on no disk, or why it has none.

        Args:
            place: Where its bytes are; see :mod:`leakscan.sources.contents`.
            name: Its name in the source.
            tags: What the naming rule declares.
        """
        try:
            head, mark = head_of(place, HEAD_BYTES), mark_of(place)
        except ImageError as error:
            yield self.problem(name, error.status, error.sentence, left_out=NO_PERMISSION)
            return
        yield from self._add(place, name, tags, head, mark)

    def _add(self, place: str, name: str, tags: Tags, head: bytes, mark: str) -> Iterator[ImageRef]:
        """The images of a file on disk or in an archive, or why it has none."""
        refused: ImageError | None = None
        for format in recognised(head):
            if format == "npz" and not name.lower().endswith(".npz"):
                continue  # an archive whose first file is an array
            try:
                if format == "dicom":
                    self._keep_header(place, name, tags)
                else:
                    yield from self._images(place, name, format, tags, mark)
                return
            except ImageError as error:
                refused = refused or ImageError(
                    error.status,
                    error.sentence,
                    error.path,
                    left_out_as(error.status, format, error.left_out),
                )
            except OSError as error:
                sentence = f"It cannot be read: {reason(error)}."
                refused = refused or ImageError("unreadable", sentence, left_out=NO_PERMISSION)
        if refused is not None:
            yield self.problem(name, refused.status, refused.sentence, refused.path, refused.left_out)
            return
        packing = packing_of(head, name)
        try:
            if packing == "compressed":
                yield from self._compressed(place, name, tags, head, mark)
            elif packing and not (packing == "parquet" and not _holds_pictures(place)):
                yield from self._archive(place, name, tags, packing, mark)
            else:
                yield self._row(name, why_no_image(name, head, place))
        except ImageError as error:
            yield self.problem(name, error.status, error.sentence, error.path, error.left_out or ARCHIVE)
        except OSError as error:
            sentence = f"It cannot be read: {reason(error)}."
            yield self.problem(name, "unreadable", sentence, left_out=NO_PERMISSION)

    def _compressed(self, place: str, name: str, tags: Tags, head: bytes, mark: str) -> Iterator[ImageRef]:
        """What a file holds that is compressed as a whole."""
        within = inside(place)
        try:
            content = head_of(within, HEAD_BYTES)
        except ImageError:
            if has_image_suffix(name) or name.lower().endswith((*ARCHIVE_SUFFIXES, *_COMPRESSED_SUFFIXES)):
                raise
            yield self._row(name, why_no_image(name, head, place))
            return
        stem = name.rpartition(".")[0] or name
        if any(recognised(content)) or packing_of(content, stem):
            if is_too_deep(place):
                error = "It is a compressed file deep in other compressed files; unpack the outer one."
                raise ImageError("unsupported", error)
            yield from self._add(within, name, tags, content, f"{mark}-g")
        elif has_image_suffix(stem) and content:
            error = "Its name promises an image, but what is compressed in it is none."
            yield self.problem(name, "unreadable", error)
        else:
            yield self._row(name, why_no_image(name, content if unread_kind(stem, content) else head, place))

    def _archive(self, place: str, name: str, tags: Tags, packing: Packing, mark: str) -> Iterator[ImageRef]:
        """What lies in an archive, file by file."""
        self._archives += is_inside(place)
        if self._archives > _MOST_ARCHIVES:
            error = f"It lies among more than {_MOST_ARCHIVES:,} archives in archives; unpack the outer one."
            raise ImageError("unsupported", error)
        names: set[str] = set()
        links: list[tuple[str, Member]] = []
        for member, said in _members(place, packing):
            names.add(member.name)
            shown = posix_name(f"{name}/{member.name}")
            parts = member.name.split("/")
            if any(p.startswith(".") and p not in (".", "..") for p in parts) or "__MACOSX" in parts:
                continue
            if self._left_out(shown):
                continue
            if member.name.startswith("/") or ".." in parts or "\0" in member.name:
                error = "Its name leads out of the archive, so it is not read."
                yield self.problem(
                    shown, "unsupported", error, left_out="archive member that leads out of it"
                )
                continue
            if member.link_to:
                links.append((shown, member))
                continue
            own = _merged(_merged(self._declared_by_name(shown), said), tags)
            yield from self._member(member, shown, own, names, mark)
        for shown, member in links:
            yield self._link(shown, member, names)

    def _link(self, shown: str, member: Member, names: set[str]) -> ImageRef:
        """The row of a link in an archive: its file is read where it lies, if the archive holds it."""
        folder = member.name.rpartition("/")[0]
        if {member.link_to, posixpath.normpath(posixpath.join(folder, member.link_to))} & names:
            error = "It is a link in an archive, and what it leads to is read where it lies."
            return self.problem(shown, "ignored", error)
        may_be = has_image_suffix(shown) or has_image_suffix(member.link_to)
        error = "It is a link in an archive to a file that the archive does not hold."
        return self.problem(shown, "unsupported" if may_be else "ignored", error, left_out=LINK_OUTSIDE)

    def _member(
        self, member: Member, shown: str, tags: Tags, names: set[str], mark: str
    ) -> Iterator[ImageRef]:
        """The images of one file in an archive."""
        if member.problem:
            status: Status = "unsupported" if has_image_suffix(shown) or "." not in shown else "ignored"
            yield self.problem(shown, status, member.problem, left_out=ARCHIVE)
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
            yield self.problem(shown, status, sentence, left_out=ARCHIVE)
            return
        yield from self._add(member.place, shown, tags, head, f"{mark}-{member.place.rpartition(chr(0))[2]}")

    def hidden(self, path: Path, name: str) -> Iterator[ImageRef]:
        """The row of a hidden file that looks like an image, unless a link has led to it already."""
        try:
            info = path.stat()
            reached = (info.st_dev, info.st_ino) in self._reached
            if reached or not stat.S_ISREG(info.st_mode):
                return
            looks = has_image_suffix(path.name) or any(recognised(head_of(path, HEAD_BYTES)))
        except OSError:
            looks = has_image_suffix(path.name)
        if looks:
            error = "It is hidden: a name that begins with a dot. Rename it, or leave it out by a pattern."
            yield self.problem(name, "unsupported", error, left_out=HIDDEN)

    def problem(
        self, name: str, status: Status, error: str, error_path: str = "", left_out: str = ""
    ) -> ImageRef:
        """The row of something that is no usable image; ``{path}`` in ``error`` is another file's."""
        return ImageRef(
            image_id=self._identity(name, 0),
            path=name,
            format="",
            files=(),
            status=status,
            error=error,
            error_path=error_path,
            left_out=left_out_as(status, "", left_out),
        )

    def finish(self) -> Iterator[ImageRef]:
        """The DICOM images, put together from all headers seen."""
        if not self._headers:
            return
        from leakscan.sources.formats import dicom

        headers, self._headers = self._headers, []
        for ref in dicom.assemble(headers, self._root, self._options):
            declared = [self._declared[f] for f in ref.files if f in self._declared]
            yield replace(_with_declared(ref, declared) if declared else ref, path=posix_name(ref.path))

    def _keep_header(self, place: str, name: str, tags: Tags) -> None:
        from leakscan.sources.formats import dicom

        with quiet(), limited(self._options):
            header = dicom.read_header(Path(place))
        self._names.add(name)
        self._headers.append(header)
        if tags != Tags():
            self._declared[header.path] = tags

    def _images(self, place: str, name: str, format: str, tags: Tags, mark: str) -> Iterator[ImageRef]:
        path = Path(place)
        frames = inspect(path, format, self._options)
        files = _files_of(path, format)
        for frame in frames:
            yield ImageRef(
                image_id=self._identity(name, frame.frame),
                path=name,
                format=format,
                files=files,
                signature=mark if len(files) == 1 else _signature(files),
                frame=frame.frame,
                ndim=frame.ndim,
                tags=_merged(frame.tags, tags),
                notes=frame.notes,
            )

    def _row(self, name: str, why: ImageError) -> ImageRef:
        return self.problem(name, why.status, why.sentence, why.path, why.left_out)

    def _identity(self, name: str, frame: int) -> str:
        """The hash of a name, made unique where a manifest lists it twice or names differ in form only."""
        unique = f"{name}#{frame}" if frame else name
        again = 1
        while unique in self._names:
            again += 1
            unique = f"{name}#{frame}#again{again}"
        self._names.add(unique)
        return blake3(unique.encode()).hexdigest()


def _members(place: str, packing: Packing) -> Iterator[tuple[Member, Tags]]:
    if packing == "parquet":
        from leakscan.sources.parquet_images import row_members

        yield from row_members(place)
    else:
        yield from ((member, Tags()) for member in members(place, packing))


def _holds_pictures(place: str) -> bool:
    """Whether a Parquet table has a column of pictures; any other is a table of something else."""
    from leakscan.sources.parquet_images import image_columns

    return bool(image_columns(place))


def _stem(name: str) -> str:
    lower = name.lower().removesuffix(".gz")
    return lower.rpartition(".")[0]


def _with_declared(ref: ImageRef, declared: list[Tags]) -> ImageRef:
    """A DICOM image under what was declared for its files; where they disagree, the first counts."""
    notes = ref.notes
    if len({tags.subject for tags in declared}) > 1:
        notes = (*notes, "Its slices are declared as several subjects; the first is taken.")
    return replace(ref, tags=_merged(ref.tags, declared[0]), notes=notes)


def _merged(header: Tags, declared: Tags) -> Tags:
    return replace(
        header,
        subject=declared.subject or header.subject,
        kind=declared.kind or header.kind,
        split=declared.split or header.split,
    )


def _files_of(path: Path, format: str) -> tuple[str, ...]:
    if format == "nifti":
        from leakscan.sources.formats import nifti

        return tuple(str(p) for p in nifti.files(path))
    if format in ("afni", "parrec", "nrrd", "metaimage"):
        from leakscan.sources.formats import volumes

        return tuple(str(p) for p in volumes.files(path, format))
    return (str(path),)


def _signature(files: tuple[str, ...]) -> str:
    return blake3("\n".join(map(mark_of, files)).encode()).hexdigest()
