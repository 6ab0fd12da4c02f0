"""The values that walk through the house, and the vocabulary they are written in.

An image is found by a source (:class:`ImageRef`), decoded in a worker (:class:`DecodedImage`), and
from then on is a row of a table (``leakscan.tables``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:  # `leakscan --help` does not wait for it
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")
R = TypeVar("R")

Kind = Literal["chest_radiograph", "brain_mri", "other_2d", "other_3d"]
Status = Literal["ok", "blank", "unreadable", "unsupported", "ignored"]
Relation = Literal["same_file", "same_pixels", "same_image", "same_subject"]
Decision = Literal["leak", "review", "cleared"]

KINDS: tuple[Kind, ...] = ("chest_radiograph", "brain_mri", "other_2d", "other_3d")
RELATIONS: tuple[Relation, ...] = ("same_file", "same_pixels", "same_image", "same_subject")
"""Strongest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tags:
    """What a file's header, a manifest or a naming preset declares about an image.

    Identifiers are raw here and never leave the process that reads them: tables get keyed hashes.

    Attributes:
        modality: DICOM Modality (``CR``, ``DX``, ``MR``...), upper case, or empty.
        body_part: DICOM BodyPartExamined, upper case, or empty.
        view: DICOM ViewPosition (``PA``, ``AP``, ``LL``...), upper case, or empty.
        subject: The declared subject (PatientID, manifest ``subject_id``), or empty.
        study_uid: StudyInstanceUID, or empty.
        series_uid: SeriesInstanceUID, or empty.
        sop_uid: SOPInstanceUID of a single picture, or empty.
        acquired: The acquisition or study date as ``YYYY-MM-DD``, or empty.
        kind: The declared kind (manifest ``kind``), or empty.
        split: The declared split (manifest ``split``), or empty.
    """

    modality: str = ""
    body_part: str = ""
    view: str = ""
    subject: str = ""
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""
    acquired: str = ""
    kind: str = ""
    split: str = ""

    def over(self, header: Tags) -> Tags:
        """What a header says, with the subject, kind, split and UIDs of these tags where they name one.

        Example:
            >>> Tags(subject="P1").over(Tags(subject="ANON", modality="CR"))
            Tags(modality='CR', ..., subject='P1', ...)
        """
        return replace(
            header,
            subject=self.subject or header.subject,
            kind=self.kind or header.kind,
            split=self.split or header.split,
            study_uid=self.study_uid or header.study_uid,
            series_uid=self.series_uid or header.series_uid,
            sop_uid=self.sop_uid or header.sop_uid,
        )


_UNDECLARED = Tags()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRef:
    """One image of a source, found but not yet decoded. Picklable; a worker can decode it alone.

    Attributes:
        image_id: The identity of the image (``docs/file-formats.md``); it survives renaming the dataset.
        path: The path relative to the source's root, posix, NFC; of a series the folder its files share.
        format: The name of the format (``leakscan.sources.formats.FORMATS``), such as ``png``, or ``""``.
        files: The absolute paths of the file or, for a series, of its slices in order.
        signature: A text that changes when the size, the modification time, the inode, or the first or last
            4 kB of any of the files do.
        content: What of the signature depends on content alone; empty where the signature is the mark of one
            file, which holds it (:func:`leakscan.sources.contents.content_mark`).
        frame: The page, time point or frame inside the file.
        ndim: 2 for a picture, 3 for a volume.
        tags: What is declared about it.
        status: ``ok`` until decoding says otherwise; a scan sets the others.
        error: One sentence for every status but ``ok``; ``{path}`` in it stands for ``error_path``.
        error_path: Another file of the source that the sentence names, or empty.
        left_out: What kind of thing was left out, for a count of such things (``JPEG 2000``, ``link that
            leaves the folder``); empty unless the status is ``unreadable`` or ``unsupported``.
        notes: What a curator should know (missing slices, duplicates), in sentences.
    """

    image_id: str
    path: str
    format: str
    files: tuple[str, ...]
    signature: str = ""
    content: str = ""
    frame: int = 0
    ndim: int = 2
    tags: Tags = _UNDECLARED
    status: Status = "ok"
    error: str = ""
    error_path: str = ""
    left_out: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecodedImage:
    """The pixels of one image.

    Attributes:
        stored: ``(height, width)``, ``(height, width, 3)`` for true colour, or ``(x, y, z)`` in
            RAS+ order: the stored numbers, no rescale, window or percentile; MONOCHROME1 flipped,
            equal colour channels as one. ``pixel_hash`` is taken from it.
        values: ``(height, width)`` or ``(x, y, z)`` float32: what a viewer would show (rescale, VOI
            LUT or window applied, colour as luminance, pixels as squares), in any range, finite.
        spacing_mm: The spacing along each axis of ``stored``; empty if unknown.
        notes: What decoding noticed, in sentences.
        aspect: The height of the pixels of ``values`` over their width, for a picture. Whoever is given an
            image by :func:`leakscan.sources.formats.decode` finds 1 here: its pixels are squares.
    """

    stored: npt.NDArray[np.generic]
    values: npt.NDArray[np.float32]
    spacing_mm: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    aspect: float = 1.0


class Progress(Protocol):
    """How the core says how far it is; it never prints.

    ``start(stage, total)`` opens a stage (``total`` ``None`` when unknown), ``advance(n)`` moves
    it, ``note(text)`` puts a few words beside its name (the loss, say) in place of the last, and
    the next ``start`` or ``finish()`` closes it. ``tell(text)`` says a sentence that stays. Calls come from
    one thread.
    """

    def start(self, stage: str, total: int | None) -> None: ...

    def advance(self, n: int = 1) -> None: ...

    def note(self, text: str) -> None: ...

    def tell(self, text: str) -> None: ...

    def finish(self) -> None: ...


class Silent:
    """A :class:`Progress` that says nothing."""

    def start(self, stage: str, total: int | None) -> None: ...

    def advance(self, n: int = 1) -> None: ...

    def note(self, text: str) -> None: ...

    def tell(self, text: str) -> None: ...

    def finish(self) -> None: ...


class ImageSource(Protocol):
    """Where the images of one dataset come from.

    ``name`` is the dataset's name in every table. ``scan`` yields one :class:`ImageRef` per image
    in a stable order, reading headers at most, and yields refs of status ``unreadable``,
    ``unsupported`` or ``ignored`` for whatever it had to leave out: nothing is skipped silently.
    It raises :class:`leakscan.errors.SourceError` when the source itself cannot be read.
    """

    name: str

    def scan(self, progress: Progress) -> Iterator[ImageRef]: ...


class Engine(Protocol):
    """Runs a function over items, here or elsewhere.

    ``map`` yields results in the order of the items, keeps a bounded number in flight whatever
    their count, and lets the function's exceptions out. The function and items are picklable.
    ``is_cluster`` says whether its workers are on other machines, which have processors of their own.
    """

    workers: int
    is_cluster: bool

    def map(self, function: Callable[[T], R], items: Iterable[T], chunk: int = 8) -> Iterator[R]: ...
