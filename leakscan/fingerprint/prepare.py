"""What a worker process does with one image: decode, hash, bring to canonical form, and encode.

Everything about an image is computed here, once, while its pixels are at hand. It imports nothing heavy, so
that workers start at once; ONNX Runtime is loaded with the first image that it is needed for.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.engines.careful import Loss, TookTooLong, processor_seconds, time_limit
from leakscan.engines.file_memory import WorkerIsFull, memory_limit, wants_memory
from leakscan.errors import ImageError
from leakscan.fingerprint.burnt_in import covered
from leakscan.fingerprint.encoders.film.kept_details import film_of, to_bytes
from leakscan.fingerprint.file_times import FileTimes
from leakscan.fingerprint.hashing import file_hash, is_blank, perceptual_hashes, pixel_hash
from leakscan.fingerprint.keypoints import find_keypoints
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.fingerprint.spans import Span, Stopwatch
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import outer_file
from leakscan.sources.formats import decode
from leakscan.sources.formats.bounds import over_memory, over_time
from leakscan.sources.left_out import DECODER_CRASHED
from leakscan.types import DecodedImage, ImageRef, Kind, Status

if TYPE_CHECKING:
    from leakscan.fingerprint.encoders.encoder import Encoded, FilmMaps

PREVIEW_SIDE = 512

_TIMES_ITS_SIZE = 150
"""What no image is compressed by: a small file that wants more memory is damaged, or made to harm."""

_SECONDS_OF_CRASHES = 2.0
"""About what it costs that a worker dies of an image twice and is started anew."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How images are prepared. It is small, because every worker is sent it with every few images.

    Attributes:
        options: The limits for reading.
        sides: The side of the canonical array in pixels, for every kind that has an encoder.
        encoders: The folders of the encoders that run in workers, by the kind that they serve.
        detail_networks: The files of the networks by which films are described, by the kind that they serve.
        previews: Whether to keep a 512 px picture, so that copies can be checked without the files.
        masked: Whether text that is burnt into a picture is covered in it.
    """

    options: DecodeOptions
    sides: Mapping[Kind, int]
    encoders: Mapping[Kind, str] = field(default_factory=dict)
    detail_networks: Mapping[Kind, str] = field(default_factory=dict)
    previews: bool = False
    masked: bool = True


@dataclass(frozen=True)
class Encoding:
    """What an encoder says of one image.

    Attributes:
        fingerprint: ``(dim,)`` float16.
        accepted: Whether the gate takes the image for one of the encoder's kind.
        quality: The gate's logit; higher is more typical of the kind.
    """

    fingerprint: npt.NDArray[np.float16]
    accepted: bool
    quality: float


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One image after the worker.

    Attributes:
        status: ``ok``, ``blank``, or why the image is left out.
        error: One sentence, unless the status is ``ok``; ``{path}`` in it stands for ``error_path``.
        error_path: Another file that the sentence names, or empty.
        left_out: What kind of thing an image is that was left out, or empty for that of its format.
        file_hash: The hash of the file (:mod:`leakscan.fingerprint.hashing`); empty if unreadable.
        pixel_hash: The hash of the pixels; empty if unreadable or blank.
        shape: The shape of the stored array.
        spacing_mm: The spacing along each axis in millimetres; empty if unknown.
        phash: ``(8,)`` uint64 perceptual hashes in all orientations, or ``None``.
        canonical: ``(side, side)`` uint8, or ``SHAPE`` for a volume, for an encoder that runs elsewhere;
            ``None`` where there is none.
        encoding: What an encoder that runs in workers says of it, or ``None``.
        preview: A PNG of the picture at 512 px, or ``None``.
        keypoints: The keypoints of a picture, or ``None``.
        details: The details of a film, where they are asked for, or ``None``.
        notes: What decoding noticed, in sentences.
        passing: Whether the trouble may be gone next time (memory, a failing disk).
        seconds: The processor time that it took.
        spans: What was done when, for the timings of the run.
    """

    status: Status
    error: str = ""
    error_path: str = ""
    left_out: str = ""
    file_hash: str = ""
    pixel_hash: str = ""
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    phash: npt.NDArray[np.uint64] | None = None
    canonical: npt.NDArray[np.uint8] | None = None
    encoding: Encoding | None = None
    preview: bytes | None = None
    keypoints: bytes | None = None
    details: bytes | None = None
    notes: tuple[str, ...] = ()
    passing: bool = False
    seconds: float = 0.0
    spans: tuple[Span, ...] = ()


def prepare(item: tuple[ImageRef, Kind], recipe: Recipe) -> Prepared:
    """Reads one image. Never raises for what is wrong with the image itself.

    Args:
        item: The image, and the kind it is prepared for.
        recipe: What to make of it.

    Example:
        >>> _ = cv2.imwrite("a.png", np.arange(4800, dtype=np.uint8).reshape(80, 60))
        >>> ref = ImageRef(image_id="1", path="a.png", format="png", files=("a.png",))
        >>> recipe = Recipe(options=DecodeOptions(), sides={"chest_radiograph": 192})
        >>> film = prepare((ref, "chest_radiograph"), recipe)
        >>> film.status, film.shape, film.canonical.shape
        ('ok', (80, 60), (192, 192))
    """
    before = processor_seconds()
    found = _read(item, recipe)
    found = replace(found, seconds=max(found.seconds, processor_seconds() - before))
    if _own_times:
        _own_times[0].add(item[0], found.seconds)
    return found


_own_times: list[FileTimes] = []
"""How long files have taken in this worker."""


def _times(options: DecodeOptions) -> FileTimes:
    if not _own_times:
        _own_times.append(FileTimes(options))
    return _own_times[0]


def _read(item: tuple[ImageRef, Kind], recipe: Recipe) -> Prepared:
    ref, kind = item
    if multiprocessing.parent_process() is not None:  # a worker has some images before the run knows of them
        ref = _times(recipe.options).allowed(ref)
    if ref.status != "ok":  # its file has taken too long already
        return refused_for_time(ImageError(ref.status, ref.error, left_out=ref.left_out))
    watch = Stopwatch()
    try:
        with time_limit(recipe.options.max_seconds):
            with watch.stage("decode"):
                digest = file_hash(ref.files)
                image = decode_within(ref, recipe.options)
            made = _prepared(image, kind, recipe, watch)
    except TookTooLong:
        return given_up(item, "took_too_long", recipe.options.max_seconds)
    except ImageError as e:
        return Prepared(status=e.status, error=e.sentence, error_path=e.path, left_out=e.left_out)
    except OSError as e:
        return Prepared(
            status="unreadable", error=f"It cannot be read: {e.strerror or type(e).__name__}.", passing=True
        )
    except MemoryError:
        return Prepared(
            status="unreadable",
            error="It does not fit into memory; fewer workers or a smaller pixel limit help.",
            passing=True,
        )
    return replace(made, file_hash=digest, spans=watch.spans)


def decode_within(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """The pixels of an image, in no more memory than a file of its size may take.

    Args:
        ref: The image.
        options: The limits and choices for reading.

    Raises:
        ImageError: It cannot be used, or wants more.
        OSError: A file cannot be read.

    Example:
        >>> _ = cv2.imwrite("a.png", np.arange(4800, dtype=np.uint8).reshape(80, 60))
        >>> ref = ImageRef(image_id="1", path="a.png", format="png", files=("a.png",))
        >>> decode_within(ref, DecodeOptions()).stored.shape
        (80, 60)
    """
    size = sum(_size(file) for file in ref.files)
    megabytes = max(options.max_file_mb, size * _TIMES_ITS_SIZE // 1_000_000)
    with memory_limit(megabytes * 1_000_000) as is_held:
        try:
            return decode(ref, options)
        except (ImageError, MemoryError, ImportError) as error:
            if not is_held or not wants_memory(error):
                raise
            if isinstance(error, ImportError):
                raise WorkerIsFull from None
            raise over_memory(megabytes) from None


def _size(place: str) -> int:
    """The bytes of a file, or of the archive that it lies in."""
    try:
        return outer_file(place).stat().st_size
    except OSError:
        return 0


def given_up(item: tuple[ImageRef, Kind], why: Loss, seconds: float) -> Prepared:
    """What stands for an image whose reading never came to an end.

    Args:
        item: The image.
        why: Whether its worker died, or it took too long.
        seconds: How long it might take.

    Example:
        >>> ref = ImageRef(image_id="1", path="a.png", format="png", files=("a.png",))
        >>> given_up((ref, "other_2d"), "died", 30.0).error
        'Its decoder crashed, and again when it was read alone.'
    """
    if why == "died":
        error = "Its decoder crashed, and again when it was read alone."
        return Prepared(
            status="unreadable",
            error=error,
            left_out=DECODER_CRASHED,
            passing=True,
            seconds=_SECONDS_OF_CRASHES,
        )
    return refused_for_time(over_time(seconds), seconds)


def refused_for_time(error: ImageError, seconds: float = 0.0) -> Prepared:
    """What stands for an image that took too long, or whose file did; the next run tries it again.

    Args:
        error: What is said of it.
        seconds: The processor time that it took.

    Example:
        >>> refused_for_time(over_time(30.0), 30.0).passing
        True
    """
    return Prepared(
        status=error.status, error=error.sentence, left_out=error.left_out, passing=True, seconds=seconds
    )


def _prepared(image: DecodedImage, kind: Kind, recipe: Recipe, watch: Stopwatch) -> Prepared:
    """Everything about an image but the hash of its file."""
    read = Prepared(
        status="ok",
        shape=tuple(int(n) for n in image.stored.shape),
        spacing_mm=image.spacing_mm,
        notes=image.notes,
    )
    with watch.stage("hash"):
        if is_blank(image.stored) or is_blank(image.values):
            return replace(
                read, status="blank", error="It is blank: every pixel is the same, so it matches nothing."
            )
        read = replace(read, pixel_hash=pixel_hash(image.stored), phash=perceptual_hashes(image.values))
    with watch.stage("canonical"):
        canonical = _canonical(image, kind, recipe.sides)
    encoding = details = None
    if canonical is not None and kind in recipe.encoders:
        with watch.stage("encode"):
            encoding, maps = _encoding(canonical, recipe.encoders[kind])
        if kind in recipe.detail_networks:
            with watch.stage("details"):
                details = _details(image.values, maps, Path(recipe.detail_networks[kind]))
    keypoints = None
    if image.values.ndim == 2:
        with watch.stage("keypoints"):
            keypoints = find_keypoints(image.values).to_bytes()
    return replace(
        read,
        keypoints=keypoints,
        details=details,
        canonical=canonical if encoding is None else None,
        encoding=encoding,
        preview=_preview(image.values, recipe.masked) if recipe.previews and image.values.ndim == 2 else None,
    )


def encoding_of(found: Encoded, number: int) -> Encoding:
    """What an encoder says of one image of a batch.

    Args:
        found: What it says of the batch.
        number: The place of the image in it.

    Example::

        encoding_of(encoder.encode(films), 0).fingerprint
    """
    fingerprint = found.fingerprints[number].astype(np.float16)
    return Encoding(fingerprint, bool(found.accepted[number]), float(found.quality[number]))


def _encoding(canonical: npt.NDArray[np.uint8], folder: str) -> tuple[Encoding, FilmMaps | None]:
    from leakscan.fingerprint.encoders.encoder import GraphEncoder
    from leakscan.fingerprint.encoders.load import encoder_here

    encoder = encoder_here(folder)
    if not isinstance(encoder, GraphEncoder):
        return encoding_of(encoder.encode(canonical[None]), 0), None
    encoded, maps = encoder.encode_with_maps(canonical)
    return encoding_of(encoded, 0), maps


def _details(values: npt.NDArray[np.float32], maps: FilmMaps | None, path: Path) -> bytes:
    """The details of a film: from what the encoder made of it, where their networks go on from that."""
    from leakscan.fingerprint.encoders.film.detail_matcher import matcher_here

    matcher = matcher_here(path)
    if maps is not None and matcher.encoder is not None:
        found = matcher.of_maps(maps)
    else:
        found = matcher.describe(film_of(values, matcher.side)[None])
    return to_bytes(found[0], matcher.digest)


def _canonical(image: DecodedImage, kind: Kind, sides: Mapping[Kind, int]) -> npt.NDArray[np.uint8] | None:
    """The array that the encoder of a kind is shown, ``None`` where there is no encoder for the image."""
    if kind not in sides:
        return None
    if kind == "chest_radiograph" and image.values.ndim == 2:
        array = canonical_radiograph(image.values, sides[kind])
    elif kind == "brain_mri" and image.values.ndim == 3:
        array = canonical_volume(image.values, image.spacing_mm, SHAPE, STEP_MM)
    else:
        return None
    return np.rint(array * 255).astype(np.uint8)


def _preview(values: npt.NDArray[np.float32], masked: bool) -> bytes:
    values = covered(values) if masked else values
    scale = min(1.0, PREVIEW_SIDE / max(values.shape))
    size = tuple(max(1, round(n * scale)) for n in values.shape[::-1])
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA) if scale < 1 else values
    low, high = float(small.min()), float(small.max())
    grey = np.rint((small - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    return bytes(cv2.imencode(".png", grey)[1])
