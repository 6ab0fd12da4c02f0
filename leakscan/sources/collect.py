"""Files to image references: what folders and manifests have in common."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from leakscan.errors import ImageError, reason
from leakscan.settings import DecodeOptions
from leakscan.sources.archives import packing_of
from leakscan.sources.contents import content_mark, head_of, mark_of, sampled
from leakscan.sources.formats import has_image_suffix, inspect, recognised
from leakscan.sources.formats.bounds import check_frames, limited, quiet
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.known_contents import KnownContents, are_copies
from leakscan.sources.left_out import (
    ARCHIVE,
    HIDDEN,
    NO_PERMISSION,
    NOT_FETCHED,
    OF_TOOLS,
    OVER_FRAMES,
    left_out_as,
)
from leakscan.sources.names import posix_name
from leakscan.sources.no_image import joins, part_of_other, why_no_image
from leakscan.sources.packed import HIDDEN_SENTENCE, PackedFiles
from leakscan.sources.split_archives import is_named_part, joined, parts_mark, parts_of
from leakscan.sources.tool_folders import TOOL_SENTENCE, lies_in_tool_folder
from leakscan.types import ImageRef, Status, Tags

_READ = ImageError("ok", "")
"""Stands for what is said of a file that was read."""

if TYPE_CHECKING:  # pydicom is slow to import and most sources hold no DICOM
    from leakscan.sources.formats.dicom import DicomHeader


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
        self._packed = PackedFiles(self, options, left_out, declared)
        self._reached: dict[int, str] = {}  # by device and inode in one number: there may be a million
        self._contents = KnownContents()
        self._in_order: list[str] = []
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
        first = self._reached.get(_inode(info)) if info.st_ino else None
        if first == name:
            yield self.problem(name, "ignored", "It is listed more than once.")
        elif first is not None:
            yield self.problem(name, "ignored", "It is the same file as {path}.", first)
        else:
            self._reached[_inode(info)] = name
            self._contents.add(sample.mark)
            yield from self.gather(str(path), name, tags, sample.head[:HEAD_BYTES], sample.mark)

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
        except OSError as error:
            sentence = f"It cannot be read: {reason(error)}."
            yield self.problem(name, "unreadable", sentence, left_out=NO_PERMISSION)
            return
        yield from self.gather(place, name, tags, head, mark)

    def gather(self, place: str, name: str, tags: Tags, head: bytes, mark: str) -> Iterator[ImageRef]:
        """The images of a file, or why it has none; nothing yet for DICOM.

        Args:
            place: Where its bytes are; see :mod:`leakscan.sources.contents`.
            name: Its name in the source.
            tags: What is declared of it.
            head: Its first bytes.
            mark: What changes with it.
        """
        try:
            if is_named_part(name):
                if (part := part_of_other(name, place)) is not None:
                    yield self._row(name, part)
                    return
                place, mark = _whole(place, head, mark)
            refused = yield from self._by_format(place, name, tags, head, mark)
            if refused is _READ:
                return
            if refused is not None:
                yield self._row(name, refused)
                return
            packing = packing_of(head, name)
            if packing in ("zip", "tar", "compressed"):
                place, mark = _whole(place, head, mark)
            if packing == "compressed":
                yield from self._packed.compressed(place, name, tags, head, mark)
            elif packing == "table" and (why := _without_pictures(place)) is not None:
                yield self._row(name, why)
            elif packing:
                yield from self._packed.archive(place, name, tags, packing, mark)
            else:
                yield self._row(name, why_no_image(name, head, place))
        except ImageError as error:
            yield self.problem(name, error.status, error.sentence, error.path, error.left_out or ARCHIVE)
        except OSError as error:
            sentence = f"It cannot be read: {reason(error)}."
            yield self.problem(name, "unreadable", sentence, left_out=NO_PERMISSION)

    def _by_format(
        self, place: str, name: str, tags: Tags, head: bytes, mark: str
    ) -> Generator[ImageRef, None, ImageError | None]:
        """The images of a file by the formats that its first bytes allow.

        Returns:
            ``_READ`` where one format reads it, what the first said where none does, ``None`` without any.
        """
        refused: ImageError | None = None
        for format in recognised(head, name):
            try:
                if format == "dicom":
                    self._keep_header(place, name, tags)
                else:
                    yield from self._images(place, name, format, tags, mark)
                return _READ
            except ImageError as error:
                if error.left_out == OVER_FRAMES:
                    return error  # an animated PNG is a PNG as well, but all of its frames were asked for
                kind = left_out_as(error.status, format, error.left_out)
                refused = refused or ImageError(error.status, error.sentence, error.path, kind)
            except OSError as error:
                sentence = f"It cannot be read: {reason(error)}."
                refused = refused or ImageError("unreadable", sentence, left_out=NO_PERMISSION)
        return refused

    def hidden(self, path: Path, name: str) -> Iterator[ImageRef]:
        """The row of a file that is not read because it is hidden, if it looks like an image.

        It has none where a link has led to it already, or where a file of the same content is read.
        """
        try:
            info = path.stat()
            if _inode(info) in self._reached or not stat.S_ISREG(info.st_mode):
                return
            sample = sampled(str(path))
            if self._is_copy(path, sample.mark):
                return
            head = sample.head[:HEAD_BYTES]
            looks = has_image_suffix(path.name) or any(recognised(head, path.name))
            if not lies_in_tool_folder(name):  # there archives are of programs
                looks = looks or packing_of(head, path.name) in ("zip", "tar", "table")
        except OSError:
            looks = has_image_suffix(path.name)
        if looks and lies_in_tool_folder(name):
            yield self.problem(name, "unsupported", TOOL_SENTENCE, left_out=OF_TOOLS)
        elif looks:
            yield self.problem(name, "unsupported", HIDDEN_SENTENCE, left_out=HIDDEN)
        elif path.suffix.lower() == ".icloud" and has_image_suffix(path.stem):
            error = "It stands for a file in iCloud that was not fetched; open the folder in the Finder."
            yield self.problem(name, "unreadable", error, left_out=NOT_FETCHED)

    def _is_copy(self, path: Path, mark: str) -> bool:
        """Whether a file that is read has the content of another that is not."""
        if not (alike := self._contents.like(mark)):
            return False
        if len(self._in_order) < len(self._reached):
            self._in_order = list(self._reached.values())  # as their contents were kept
        names = [self._in_order[at] for at in alike if at < len(self._in_order)]
        return any(are_copies(path, self._root / name) for name in names)

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
        """The DICOM images, put together from all headers seen; what was kept of files is given up."""
        self._reached.clear()
        self._in_order.clear()
        self._contents = KnownContents()
        if not self._headers:
            self._names.clear()
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
        pixels = header.frames * header.rows * header.columns
        check_frames(len(header.stacks) or header.frames, pixels, place, self._options)
        self._names.add(name)
        self._headers.append(header)
        if tags != Tags():
            self._declared[header.path] = tags

    def _images(self, place: str, name: str, format: str, tags: Tags, mark: str) -> Iterator[ImageRef]:
        frames = inspect(place, format, self._options)
        files = _files_of(place, format)
        signature, content = (mark, "") if len(files) == 1 else _signature(files)
        for frame in frames:
            yield ImageRef(
                image_id=self._identity(name, frame.frame),
                path=name,
                format=frame.format or format,
                files=files,
                signature=signature,
                content=content,
                frame=frame.frame,
                ndim=frame.ndim,
                tags=tags if tags == frame.tags else tags.over(frame.tags),
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


def _whole(place: str, head: bytes, mark: str) -> tuple[str, str]:
    """The place and mark of the whole archive, where a file is the first of its parts."""
    if parts_of(place) and joins(place, head):
        return joined(place), parts_mark(place)
    return place, mark


def _inode(info: os.stat_result) -> int:
    return info.st_dev << 64 | info.st_ino


def _without_pictures(place: str) -> ImageError | None:
    """Why a table holds no pictures, ``None`` where it does."""
    from leakscan.sources.table_images import image_columns, why_no_pictures

    return None if image_columns(place) else why_no_pictures(place)


def _with_declared(ref: ImageRef, declared: list[Tags]) -> ImageRef:
    """A DICOM image under what was declared for its files; where they disagree, the first counts."""
    notes = ref.notes
    if len({tags.subject for tags in declared}) > 1:
        notes = (*notes, "Its slices are declared as several subjects; the first is taken.")
    return replace(ref, tags=declared[0].over(ref.tags), notes=notes)


def _files_of(place: str, format: str) -> tuple[str, ...]:
    if format == "nifti":
        from leakscan.sources.formats import nifti

        return tuple(str(p) for p in nifti.files(Path(place)))
    if format in ("afni", "parrec", "nrrd", "metaimage"):
        from leakscan.sources.formats import volumes

        return tuple(str(p) for p in volumes.files(Path(place), format))
    return (place,)


def _signature(files: tuple[str, ...]) -> tuple[str, str]:
    """The signature of an image that lies in several files, and what of it depends on content alone."""
    marks = [mark_of(file) for file in files]
    return blake3("\n".join(marks).encode()).hexdigest(), content_mark(marks)
