"""What a worker process does with one image: decode, hash, and bring to canonical form.

Imports nothing heavy, so that workers start at once; the encoder stays in the parent process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.errors import ImageError
from leakscan.fingerprint.hashing import file_hash, is_blank, perceptual_hashes, pixel_hash
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.types import DecodedImage, ImageRef, Kind, Status

PREVIEW_SIDE = 512


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One image after the worker: everything but its fingerprint.

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
        canonical: ``(side, side)`` uint8 for the encoder, or ``SHAPE`` for a volume; ``None`` where no
            encoder serves the image.
        preview: A PNG of the picture at 512 px, or ``None``.
        notes: What decoding noticed, in sentences.
        passing: Whether the trouble may be gone next time (memory, a failing disk).
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
    preview: bytes | None = None
    notes: tuple[str, ...] = ()
    passing: bool = False


def prepare(
    item: tuple[ImageRef, Kind], options: DecodeOptions, sides: Mapping[Kind, int], previews: bool = False
) -> Prepared:
    """Reads one image. Never raises for what is wrong with the image itself.

    Args:
        item: The image, and the kind it is prepared for.
        options: The limits for reading.
        sides: The side of the canonical array in pixels, for every kind that has an encoder.
        previews: Whether to keep a 512 px picture, so that copies can be checked without the files.

    Example:
        >>> _ = cv2.imwrite("a.png", np.arange(4800, dtype=np.uint8).reshape(80, 60))
        >>> ref = ImageRef(image_id="1", path="a.png", format="png", files=("a.png",))
        >>> film = prepare((ref, "chest_radiograph"), DecodeOptions(), sides={"chest_radiograph": 192})
        >>> film.status, film.shape, film.canonical.shape
        ('ok', (80, 60), (192, 192))
    """
    ref, kind = item
    try:
        digest = file_hash(ref.files)
        image = decode(ref, options)
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
    read = Prepared(
        status="ok",
        file_hash=digest,
        shape=tuple(int(n) for n in image.stored.shape),
        spacing_mm=image.spacing_mm,
        notes=image.notes,
    )
    if is_blank(image.stored) or is_blank(image.values):
        return replace(
            read, status="blank", error="It is blank: every pixel is the same, so it matches nothing."
        )
    return replace(
        read,
        pixel_hash=pixel_hash(image.stored),
        phash=perceptual_hashes(image.values),
        canonical=_canonical(image, kind, sides),
        preview=_preview(image.values) if previews and image.values.ndim == 2 else None,
    )


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


def _preview(values: npt.NDArray[np.float32]) -> bytes:
    scale = min(1.0, PREVIEW_SIDE / max(values.shape))
    size = tuple(max(1, round(n * scale)) for n in values.shape[::-1])
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA) if scale < 1 else values
    low, high = float(small.min()), float(small.max())
    grey = np.rint((small - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    return bytes(cv2.imencode(".png", grey)[1])
