"""Files to image references: what folders and manifests have in common."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from leakscan.errors import ImageError, reason
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import has_image_suffix, inspect, recognise
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.left_out import EMPTY, HIDDEN, NO_PERMISSION, NOT_FETCHED, left_out_as
from leakscan.types import ImageRef, Status, Tags

if TYPE_CHECKING:  # pydicom is slow to import and most sources hold no DICOM
    from leakscan.sources.formats.dicom import DicomHeader

_HEAD_BYTES = 2048
_NOT_FETCHED = "It is a {} pointer; the image was not fetched ({})."
_POINTERS = {
    b"version https://git-lfs.github.com": _NOT_FETCHED.format("Git LFS", "git lfs pull"),
    b"/annex/objects/": _NOT_FETCHED.format("git-annex", "git annex get"),
    b"../.git/annex/objects/": _NOT_FETCHED.format("git-annex", "git annex get"),
    b".git/annex/objects/": _NOT_FETCHED.format("git-annex", "git annex get"),
}
"""How the small files begin that stand for others, and what a row says of them."""


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

    Args:
        root: The source's folder, absolute; DICOM paths are made relative to it.
        options: The limits and choices for reading headers.
    """

    def __init__(self, root: Path, options: DecodeOptions) -> None:
        self._root = root
        self._options = options
        self._reached: dict[tuple[int, int], str] = {}
        self._names: set[str] = set()
        self._headers: list[DicomHeader] = []
        self._declared: dict[str, Tags] = {}

    def add(self, path: Path, name: str, tags: Tags) -> Iterator[ImageRef]:
        """The images of one file, or why it has none; nothing yet for DICOM.

        Args:
            path: The absolute path; links are followed.
            name: The file's :func:`posix_name` in the source.
            tags: What the manifest or the naming rule declares; it wins over the file's header.
        """
        format = ""
        try:
            info = path.stat()
            if not stat.S_ISREG(info.st_mode):
                yield self.problem(name, "unreadable", "It is a folder or device, not a file.")
                return
            first = self._reached.get((info.st_dev, info.st_ino)) if info.st_ino else None
            if first is not None:
                if first == name:
                    yield self.problem(name, "ignored", "It is listed more than once.")
                else:
                    yield self.problem(name, "ignored", "It is the same file as {path}.", first)
                return
            self._reached[info.st_dev, info.st_ino] = name
            format = recognise(path) if info.st_size else ""
            if not format:
                yield self._no_image(path, name, info.st_size)
            elif format == "dicom":
                self._keep_header(path, name, tags)
            else:
                yield from self._images(path, name, format, tags)
        except ImageError as error:
            kind = left_out_as(error.status, format, error.left_out)
            yield self.problem(name, error.status, error.sentence, error.path, kind)
        except OSError as error:
            sentence = f"It cannot be read: {reason(error)}."
            yield self.problem(name, "unreadable", sentence, left_out=NO_PERMISSION)

    def hidden(self, path: Path, name: str) -> Iterator[ImageRef]:
        """The row of a hidden file that looks like an image, unless a link has led to it already."""
        try:
            info = path.stat()
            reached = (info.st_dev, info.st_ino) in self._reached
            if reached or not stat.S_ISREG(info.st_mode):
                return
            looks = has_image_suffix(path.name) or bool(info.st_size and recognise(path))
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

    def _keep_header(self, path: Path, name: str, tags: Tags) -> None:
        from leakscan.sources.formats import dicom

        header = dicom.read_header(path)
        self._names.add(name)
        self._headers.append(header)
        if tags != Tags():
            self._declared[header.path] = tags

    def _images(self, path: Path, name: str, format: str, tags: Tags) -> Iterator[ImageRef]:
        frames = inspect(path, format, self._options)
        files = _files_of(path, format)
        for frame in frames:
            yield ImageRef(
                image_id=self._identity(name, frame.frame),
                path=name,
                format=format,
                files=files,
                signature=_signature(files),
                frame=frame.frame,
                ndim=frame.ndim,
                tags=_merged(frame.tags, tags),
                notes=frame.notes,
            )

    def _no_image(self, path: Path, name: str, size: int) -> ImageRef:
        promised = has_image_suffix(path.name)
        if not size:
            if promised:
                return self.problem(name, "unreadable", "The file is empty.", left_out=EMPTY)
            return self.problem(name, "ignored", "It is no image.")
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
        if promised and (pointer := _pointer(head)):
            return self.problem(name, "unreadable", pointer, left_out=NOT_FETCHED)
        if kind := unread_kind(path.name, head):
            return self.problem(name, "unsupported", kind.sentence, left_out=kind.name)
        if path.name.lower().endswith((".img", ".img.gz")):
            error = "It may hold voxels, but no header (.hdr) lies beside it."
            return self.problem(name, "unreadable", error, left_out="voxel file without its header")
        if promised:
            error = "Its name promises an image, but its content is none."
            return self.problem(name, "unreadable", error)
        return self.problem(name, "ignored", "It is no image.")

    def _identity(self, name: str, frame: int) -> str:
        """The hash of a name, made unique where a manifest lists it twice or names differ in form only."""
        unique = f"{name}#{frame}" if frame else name
        again = 1
        while unique in self._names:
            again += 1
            unique = f"{name}#{frame}#again{again}"
        self._names.add(unique)
        return blake3(unique.encode()).hexdigest()


def _pointer(head: bytes) -> str:
    """What to say of a small file that stands for one that was not fetched, empty for all others."""
    opening = head.replace(b"\\", b"/").lstrip(b"./")
    known = ((mark.lstrip(b"./"), words) for mark, words in _POINTERS.items())
    return next((words for mark, words in known if opening.startswith(mark)), "")


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
    return (str(path),)


def _signature(files: tuple[str, ...]) -> str:
    marks = [f"{info.st_size}-{info.st_mtime_ns}" for info in map(os.stat, files)]
    return marks[0] if len(marks) == 1 else blake3("\n".join(marks).encode()).hexdigest()
