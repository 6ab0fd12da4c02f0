"""The images of a manifest with what is declared of them, decoded once for every system.

A worker hands back what the encoders of ``compare`` see: the same decoder makes the same canonical
array. Of a film there are two, one as it is and one reduced to 128 px before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.counted import counted
from leakscan.errors import ImageError, SourceError, UsageError
from leakscan.evaluation.protocols import (
    ImageLabels,
    as_codes,
    as_numbers,
    as_whole_numbers,
    day_number,
    is_frontal,
    projection,
)
from leakscan.fingerprint.hashing import is_blank, perceptual_hashes, pixel_hash
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.sources.manifest import ManifestSource, column_values
from leakscan.sources.spec import SourceSpec
from leakscan.sources.split_names import TRAIN, check_disjoint
from leakscan.sources.table_names import MANIFEST_SUFFIXES
from leakscan.types import ImageRef, Kind, Progress

VOLUMES: tuple[Kind, ...] = ("brain_mri",)
"""Kinds whose images are volumes."""
REDUCED_SIDE = 128
"""px: the longest side of a reduced film."""

_DECLARED = ("source_width_px", "view", "contrast", "sex", "follow_up", "acquired")
_NO_IMAGE = "labels"  # contrast of a label map that lies beside the images


@dataclass(frozen=True)
class LabelledImage:
    """One image to evaluate on.

    Attributes:
        ref: Where the image lies.
        declared: Column -> text, for the columns that the manifest has.
    """

    ref: ImageRef
    declared: dict[str, str]


@dataclass(frozen=True)
class LeftOut:
    """Rows of the manifest that are not evaluated on.

    Attributes:
        unread: ``(path, sentence)`` of what could not be read.
        unknown: The number of images of no declared subject; they could be anybody's.
        other_views: The number of films whose declared view is not frontal, and of label maps.
        other_shape: The number of volumes among films, or of pictures among volumes.
        ignored: The number of files that are no images, or are listed twice.
    """

    unread: tuple[tuple[str, str], ...] = ()
    unknown: int = 0
    other_views: int = 0
    other_shape: int = 0
    ignored: int = 0


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """One image, decoded by a worker.

    Attributes:
        canonical: Side -> ``(side, side)`` uint8, or ``SHAPE`` for a volume, as encoders get it.
        reduced: The same of a film reduced to ``REDUCED_SIDE``.
        phash: ``(2,)`` uint64, perceptual hashes of the film and of the reduced film; zeros for a volume.
        width: The width of the stored picture in pixels, 0 for a volume.
        pixel_hash: The pixel hash; equal pictures have equal hashes.
        error: A sentence if the image cannot be used; then the rest is empty.
    """

    canonical: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    reduced: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    phash: tuple[int, int] = (0, 0)
    width: int = 0
    pixel_hash: str = ""
    error: str = ""


def list_images(
    manifest: Path, split: str | None, kind: Kind, options: DecodeOptions, progress: Progress
) -> tuple[list[LabelledImage], LeftOut]:
    r"""The images of a manifest, or of one of its splits, that have a subject and may be of a kind.

    Films need a frontal or unknown view; label maps are no volumes.

    Args:
        manifest: CSV or Parquet with ``path`` and ``subject_id``.
        split: The value of the column ``split``, or ``None`` for all rows.
        kind: The kind of the images to list.
        options: The limits for reading headers.
        progress: Receives how far the work is.

    Raises:
        UsageError: The file is no manifest.
        SourceError: It cannot be read, lacks a column, or has no such split; no subject in it has
            two images, or one is in the split ``train`` as well.

    Example:
        >>> from PIL import Image
        >>> from leakscan.types import Silent
        >>> for i in range(3):
        ...     Image.new("L", (8 + i, 8)).save(f"{i}.png")
        >>> _ = Path("films.csv").write_text("path,subject_id\n0.png,P7\n1.png,P7\n2.png,P8\n")
        >>> films, _ = list_images(Path("films.csv"), None, "chest_radiograph", DecodeOptions(), Silent())
        >>> [(film.ref.path, film.ref.tags.subject) for film in films]
        [('0.png', 'P7'), ('1.png', 'P7'), ('2.png', 'P8')]
    """
    if not manifest.name.lower().endswith(MANIFEST_SUFFIXES):
        raise UsageError(
            f"{manifest} is no manifest: its name ends neither in .csv nor in .parquet or the like.",
            "Evaluating needs a table with the columns path and subject_id.",
        )
    column_values(manifest, "path")
    column_values(manifest, "subject_id")
    if split is not None:
        _check_not_trained_on(manifest, split)
    spec = SourceSpec.parse(manifest)
    source = ManifestSource(
        spec if split is None else spec.with_filter("split", split), manifest.stem, options
    )
    declared = _declared(manifest)
    root = Path(os.path.abspath(manifest)).parent  # noqa: PTH100 - as ManifestSource does
    ndim = 3 if kind in VOLUMES else 2
    films, unread, left = [], [], {"unknown": 0, "other_views": 0, "other_shape": 0, "ignored": 0}
    for ref in source.scan(progress):
        file = ref.files[0] if ref.files else os.path.normpath(root / ref.path)
        film = LabelledImage(ref, declared.get(file, {}))
        if ref.status == "ignored":
            left["ignored"] += 1
        elif ref.status != "ok":
            unread.append((ref.path, ref.error))
        elif not ref.tags.subject:
            left["unknown"] += 1
        elif ref.ndim != ndim:
            left["other_shape"] += 1
        elif not is_frontal(_view(film)) if ndim == 2 else film.declared.get("contrast") == _NO_IMAGE:
            left["other_views"] += 1
        else:
            films.append(film)
    if not films and left["other_shape"]:
        raise SourceError(
            f"{counted(left['other_shape'], 'image')} of {manifest} cannot be evaluated as {kind}: "
            f"that needs {'volumes' if ndim == 3 else 'pictures'}.",
            "Choose another kind.",
            code="other_kind",
        )
    check_subjects(films, manifest, split, unread)
    return films, LeftOut(tuple(unread), **left)


def images_to_train_on(manifest: Path, split: str | None) -> int:
    r"""How many images of what is evaluated the manifest itself gives to the split ``train``.

    Example:
        >>> _ = Path("films.csv").write_text("path,split\na.png,train\nb.png,test\n")
        >>> images_to_train_on(Path("films.csv"), None), images_to_train_on(Path("films.csv"), "test")
        (1, 0)
    """
    if split not in (None, TRAIN):
        return 0
    try:
        return column_values(manifest, "split").count(TRAIN)
    except SourceError:  # nothing is split
        return 0


def _check_not_trained_on(manifest: Path, split: str) -> None:
    subjects: dict[str, set[str]] = {}
    columns = (column_values(manifest, name) for name in ("split", "subject_id"))
    for of, subject in zip(*columns, strict=True):
        subjects.setdefault(of, set()).update({subject} - {""})
    check_disjoint(subjects, [split], str(manifest))


def check_subjects(
    films: Sequence[LabelledImage], manifest: Path, split: str | None, unread: Sequence[tuple[str, str]]
) -> None:
    """Refuses films among which nobody can be found again.

    Raises:
        SourceError: There are none, or all are of different subjects or of one.

    Example:
        >>> from leakscan.types import Tags
        >>> ref = ImageRef(image_id="9f", path="a.png", format="png", files=(), tags=Tags(subject="P7"))
        >>> check_subjects([LabelledImage(ref, {})], Path("films.csv"), None, unread=[])
        Traceback (most recent call last):
        leakscan.errors.SourceError: No subject in films.csv has two readable images, so nobody can...
    """
    which = f"the split {split!r} of {manifest}" if split is not None else str(manifest)
    if not films:
        first = f" First: {unread[0][0]}: {unread[0][1]}" if unread else ""
        raise SourceError(
            f"No image of {which} can be used ({len(unread)} cannot be read).{first}",
            "Check the column path: it is relative to the manifest's folder.",
        )
    counts: dict[str, int] = {}
    for film in films:
        counts[film.ref.tags.subject] = counts.get(film.ref.tags.subject, 0) + 1
    if max(counts.values()) < 2:
        raise SourceError(
            f"No subject in {which} has two readable images, so nobody can be found again.",
            "Check the column subject_id.",
        )
    if len(counts) < 2:
        raise SourceError(f"All images of {which} are of one subject: there is nobody to tell it from.")


def prepare_image(labelled: LabelledImage, sides: tuple[int, ...], options: DecodeOptions) -> PreparedImage:
    """Decodes one image. Never raises for what is wrong with the file itself.

    Args:
        labelled: The image.
        sides: The sides of the canonical arrays that are wanted.
        options: The limits for reading.

    Example:
        >>> from PIL import Image
        >>> Image.linear_gradient("L").resize((80, 96)).save("film.png")
        >>> ref = ImageRef(image_id="9f", path="film.png", format="png", files=("film.png",))
        >>> image = prepare_image(LabelledImage(ref, {}), (64,), DecodeOptions())
        >>> image.canonical[64].shape, image.width
        ((64, 64), 80)
    """
    try:
        image = decode(labelled.ref, options)
    except ImageError as e:
        return PreparedImage(error=e.message)
    except OSError as e:
        return PreparedImage(error=f"It cannot be read: {e.strerror or e}.")
    except MemoryError:
        return PreparedImage(error="It does not fit into memory; fewer workers help.")
    if is_blank(image.stored) or is_blank(image.values):
        return PreparedImage(error="It is blank: every pixel is the same.")
    if image.values.ndim == 3:
        volume = canonical_volume(image.values, image.spacing_mm, SHAPE, STEP_MM)
        return PreparedImage(
            canonical=dict.fromkeys(sides, _bytes(volume)), pixel_hash=pixel_hash(image.stored)
        )
    small = reduced(image.values)
    return PreparedImage(
        canonical={side: _canonical(image.values, side) for side in sides},
        reduced={side: _canonical(small, side) for side in sides},
        phash=(int(perceptual_hashes(image.values)[0]), int(perceptual_hashes(small)[0])),
        width=int(image.stored.shape[1]),
        pixel_hash=pixel_hash(image.stored),
    )


def image_preparer(sides: tuple[int, ...], options: DecodeOptions) -> partial[PreparedImage]:
    """:func:`prepare_image` with everything but the image, for an engine.

    Example::

        for image in start_engine(None).map(image_preparer((192,), DecodeOptions()), films):
            print(image.width, image.error)
    """
    return partial(prepare_image, sides=sides, options=options)


def reduced(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A film whose longest side is at most ``REDUCED_SIDE`` pixels, by averaging over areas.

    Args:
        values: ``(height, width)`` grey levels.

    Example:
        >>> reduced(np.zeros((2500, 2000), np.float32)).shape
        (128, 102)
    """
    scale = REDUCED_SIDE / max(values.shape)
    if scale >= 1:
        return values
    height, width = (max(1, round(n * scale)) for n in values.shape)
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def labels_of(films: Sequence[LabelledImage], images: Sequence[PreparedImage]) -> ImageLabels:
    """What is declared of images, as numbers.

    Where the manifest has no ``source_width_px``, the width of the stored picture stands in for it.

    Args:
        films: What the manifest says of the images.
        images: The same images, decoded.

    Example:
        >>> ref = ImageRef(image_id="9f", path="a.png", format="png", files=())
        >>> films = [LabelledImage(ref, {"view": view}) for view in ("PA", "AP supine", "")]
        >>> labels = labels_of(films, [PreparedImage(width=2048)] * 3)
        >>> labels.views, labels.widths
        (array([ 1,  0, -1]), array([2048, 2048, 2048]))
    """
    texts = {c: [film.declared.get(c, "").strip() for film in films] for c in _DECLARED}
    has_width = any("source_width_px" in film.declared for film in films)
    widths = (
        as_whole_numbers(texts["source_width_px"])
        if has_width
        else np.array([image.width for image in images])
    )
    is_film = np.array([image.width > 0 for image in images])
    acquired = [f.declared.get("acquired", "").strip() or f.ref.tags.acquired for f in films]
    return ImageLabels(
        subjects=as_codes([film.ref.tags.subject for film in films]),
        widths=np.where(is_film, widths, -1).astype(np.int64),
        views=as_codes([projection(_view(film)) for film in films]),
        contrasts=as_codes([text.upper() for text in texts["contrast"]]),
        sexes=as_codes([text.upper() for text in texts["sex"]]),
        follow_up=as_numbers(texts["follow_up"]),
        acquired=np.array([day_number(text) for text in acquired]),
    )


def _canonical(values: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.uint8]:
    return _bytes(canonical_radiograph(values, side))


def _bytes(canonical: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.rint(canonical * 255).astype(np.uint8)


def _view(film: LabelledImage) -> str:
    return film.declared.get("view", "").strip() or film.ref.tags.view


def _declared(manifest: Path) -> dict[str, dict[str, str]]:
    """File -> column -> text, for the columns that there are."""
    root = Path(os.path.abspath(manifest)).parent  # noqa: PTH100
    paths = [os.path.normpath(root / p) for p in column_values(manifest, "path")]
    out: dict[str, dict[str, str]] = {path: {} for path in paths}
    for column in _DECLARED:
        try:
            values = column_values(manifest, column)
        except SourceError:
            continue
        for path, value in zip(paths, values, strict=True):
            out[path][column] = value
    return out
