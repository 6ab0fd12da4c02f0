"""Pictures in raster files to arrays, with every stored bit kept.

Pillow reads what it can without loss. OpenCV, OpenJPEG and, where they are installed, imagecodecs and
pillow-heif read the rest: 16-bit colour, which Pillow would reduce to 8 bits, and what it does not know.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import open_place
from leakscan.sources.formats import FrameInfo
from leakscan.sources.formats.bounds import check_frames, most_frames
from leakscan.sources.formats.kept_open import KeptOpen
from leakscan.sources.formats.raster.jpeg_kinds import decode_rare_jpeg, rare_jpeg
from leakscan.sources.formats.raster.jpeg_xl import decode_jpeg_xl, frames_of_jpeg_xl
from leakscan.sources.formats.raster.pixels import (
    SIDEWAYS,
    Array,
    blended,
    by_opencv,
    check_size,
    memory_is_named,
    one_channel_if_equal,
    orientation,
    reasons,
    stated_aspect,
    strict_pillow,
    turned,
    without_palette,
)
from leakscan.sources.formats.raster.pnm import OpenMaps, decode_pnm, map_at, maps_of
from leakscan.sources.formats.raster.tiff import OpenTiff, decode_page
from leakscan.sources.formats.raster.tiff_pages import Page, pages_of
from leakscan.types import DecodedImage, ImageRef

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Luminance of red, green and blue, ITU-R BT.601."""

_PILLOW_NAMES = {
    "jpeg2000": ["JPEG2000"], "apng": ["PNG"], "heic": ["HEIF"], "bmp": ["BMP", "DIB"],
    "mpo": ["JPEG", "MPO"], "ico": ["ICO", "CUR"],
}  # fmt: skip
_OF_FRAMES = frozenset({"apng", "gif", "webp", "avif", "heic", "mpo", "dcx"})
_ALONE = {"apng": "png", "mpo": "jpeg"}
"""What a file of one picture is that looked, by its first bytes, as if it might hold several."""
_MP_ENTRIES = 0xB002


def inspect(path: Path, format: str, options: DecodeOptions) -> list[FrameInfo]:
    """One entry per picture: every page of a TIFF, every frame of an animation, else the file.

    Args:
        path: The file.
        format: One of the formats of ``FORMATS`` that this module reads.
        options: ``frames`` chooses between the first page or frame and all.

    Raises:
        ImageError: ``unreadable`` structure, or ``unsupported`` where a package is missing.

    Example:
        >>> pages = [Image.new("L", (8, 8), grey) for grey in (0, 255)]
        >>> pages[0].save("scan.tiff", save_all=True, append_images=pages[1:])
        >>> (page,) = inspect(Path("scan.tiff"), "tiff", DecodeOptions(frames="first"))
        >>> page.notes
        ('It has 2 pages; only the first is read.',)
    """
    if format in _OF_FRAMES:
        with reasons(), open_place(path) as stream, strict_pillow():
            single = format == "mpo" and rare_jpeg(stream)
            im = None if single else _opened(stream, format)
            shown = _shown_frames(im) if im is not None else [0]
            if im is not None:
                check_frames(len(shown), len(shown) * im.size[0] * im.size[1], path, options)
        frames = _frames(shown, "frames", [], options)
        alone = _ALONE.get(format, "") if shown == [0] else ""
        return [replace(frame, format=alone) for frame in frames]
    if format in ("jpegxl", "pnm"):
        with reasons(), open_place(path) as stream:
            if format == "jpegxl":
                count, pixels = frames_of_jpeg_xl(stream, options)
                check_frames(count, count * pixels, path, options)
            else:  # whose maps are not compressed
                count = len(maps_of(stream, most_frames(path, options)))
        return _frames(list(range(count)), "frames", [], options)
    if format != "tiff":
        return [FrameInfo()]
    with reasons(), open_place(path) as stream:
        pages = pages_of(stream, most_frames(path, options))
    # Bit 0 of NewSubfileType marks a smaller copy of another page, bit 2 a mask: neither is an image.
    widest = max((p.width for p in pages if not p.under and not p.subfile & 0b101), default=0)
    kept = [i for i, page in enumerate(pages) if not _is_copy(page, widest)] or [0]
    check_frames(len(kept), sum(pages[i].width * pages[i].height for i in kept), path, options)
    notes: list[str] = []
    if len(kept) < len(pages):
        notes.append(f"{len(pages) - len(kept)} reduced copies or masks among its pages were left out.")
    return _frames(kept, "pages", notes, options)


def _is_copy(page: Page, widest: int) -> bool:
    """Whether a page is a smaller copy of another or a mask; one below another is one where it is smaller."""
    return bool(page.subfile & 0b101) or (bool(page.under) and page.width < widest)


def _shown_frames(im: ImageFile.ImageFile) -> list[int]:
    """The frames of an open file that are pictures of their own: cameras add small copies of the first."""
    entries = (getattr(im, "mpinfo", None) or {}).get(_MP_ENTRIES, ())
    small = {i for i, e in enumerate(entries) if str(e["Attribute"]["MPType"]).startswith("Large Thumbnail")}
    return [i for i in range(getattr(im, "n_frames", 1)) if i not in small] or [0]


def _frames(kept: list[int], what: str, notes: list[str], options: DecodeOptions) -> list[FrameInfo]:
    if options.frames == "first" and len(kept) > 1:
        notes.append(f"It has {len(kept)} {what}; only the first is read.")
        kept = kept[:1]
    return [FrameInfo(frame=i, notes=tuple(notes)) for i in kept]


def decode(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """Reads one picture.

    Args:
        ref: A raster image.
        options: ``max_pixels`` is checked against the header before anything is decoded.

    Returns:
        ``stored`` as in the file (1-bit as 0 and 1), alpha composited on black, EXIF orientation
        applied, equal channels as one; ``values`` the same as luminance (:data:`LUMA`).

    Raises:
        ImageError: ``unreadable`` when truncated, damaged or too large; ``unsupported`` for sample
            types that nothing here reads.

    Example:
        >>> Image.new("RGBA", (2, 1), (200, 200, 200, 51)).save("film.png")  # a fifth of grey, on black
        >>> ref = ImageRef(image_id="1", path="film.png", format="png", files=("film.png",))
        >>> decode(ref, DecodeOptions()).stored.tolist()
        [[40, 40]]
    """
    notes: list[str] = []
    aspect = 1.0
    place = ref.files[0]
    with memory_is_named(), reasons(), strict_pillow():
        if ref.format == "tiff":
            with _TIFFS.of(place) as tiff:
                stored, aspect = decode_page(tiff, ref.frame, options)
        elif ref.format == "pnm":
            with _MAPS.of(place) as maps:
                stored = decode_pnm(map_at(maps, ref.frame), options)
        elif ref.format in _OF_FRAMES:
            not_behind = partial(_stands_before, ref.frame)
            with _ANIMATIONS.of(place, ref.format, not_behind) as (stream, im):
                stored, aspect = _picture(stream, im, ref, options, notes)
        else:
            with open_place(place) as stream:
                stored, aspect = _single(stream, ref, options, notes)
    stored = one_channel_if_equal(stored)
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        odd = ~np.isfinite(stored)
        notes.append(f"{int(odd.sum())} pixels were not finite and count as 0.")
        stored = np.where(odd, stored.dtype.type(0), stored)
    values = stored.astype(np.float32) if stored.ndim == 2 else stored.astype(np.float32) @ LUMA
    if stored.dtype == np.float64:  # whose largest numbers float32 cannot hold
        values = np.nan_to_num(values)
    pixels = np.ascontiguousarray(stored)
    return DecodedImage(pixels, np.ascontiguousarray(values), notes=tuple(notes), aspect=aspect)


def _opened(stream: BinaryIO, format: str) -> ImageFile.ImageFile:
    if format == "heic":
        try:
            import pillow_heif
        except ImportError as error:
            missing = "It is HEIC, which needs the package pillow-heif: pip install 'leakscan[formats]'."
            raise ImageError("unsupported", missing, left_out="HEIC") from error
        pillow_heif.register_heif_opener()
    return Image.open(stream, formats=_PILLOW_NAMES.get(format, [format.upper()]))


def _single(stream: BinaryIO, ref: ImageRef, options: DecodeOptions, notes: list[str]) -> tuple[Array, float]:
    if ref.format == "jpegxl":
        return decode_jpeg_xl(stream.read(), ref.frame, options), 1.0
    if ref.format == "jpeg" and (kind := rare_jpeg(stream)):
        return decode_rare_jpeg(stream.read(), kind, options), 1.0
    return _picture(stream, _opened(stream, ref.format), ref, options, notes)


def _picture(
    stream: BinaryIO, im: ImageFile.ImageFile, ref: ImageRef, options: DecodeOptions, notes: list[str]
) -> tuple[Array, float]:
    check_size(*im.size, options)
    frames = getattr(im, "n_frames", 1)
    if ref.format in _OF_FRAMES:
        if ref.frame >= frames:
            raise ImageError("unreadable", f"It has no frame {ref.frame + 1} any more.")
        _seek(im, ref.frame, options)
    elif frames > 1 and ref.format != "psd":  # whose frames are the layers that the picture is made of
        notes.append(f"It has {frames} frames; only the first is read.")
    encoding = str(im.tile[0].args) if im.tile else ""
    if ref.format == "jpeg2000" and im.mode in ("RGB", "RGBA"):
        stream.seek(0)
        if (deep := _deep_jpeg_2000(stream.read())) is not None:
            return deep, stated_aspect(im)
    _load(im)
    if ";16B" in encoding and im.mode in ("RGB", "RGBA", "LA"):
        at = stream.seek(0, 1)  # where Pillow goes on with the next frame
        stream.seek(0)
        pixels = blended(by_opencv(stream.read(), 0))
        stream.seek(at)
    else:
        pixels = without_palette(im, encoding)
    turn, aspect = orientation(im), stated_aspect(im)
    return turned(pixels, turn), 1 / aspect if turn in SIDEWAYS else aspect


def _seek(im: ImageFile.ImageFile, frame: int, options: DecodeOptions) -> None:
    """Goes to a frame, which may claim to be larger than the picture that it stands in."""
    Image.MAX_IMAGE_PIXELS = (
        options.max_pixels // 2
    )  # Pillow raises at twice as many; strict_pillow puts it back
    try:
        im.seek(frame)
        check_size(*im.size, options)
        for tile in im.tile:
            _, _, right, lower = tile[1] or (0, 0, 0, 0)
            check_size(int(right), int(lower), options)
    except Image.DecompressionBombError as error:
        limit = f"more pixels than the limit of {options.max_pixels}; raise max_pixels to read it."
        raise ImageError("unreadable", f"Its frame {frame + 1} has {limit}") from error


@contextmanager
def _open_animation(
    place: str | os.PathLike[str], format: str
) -> Iterator[tuple[BinaryIO, ImageFile.ImageFile]]:
    with open_place(place) as stream:
        yield stream, _opened(stream, format)


@contextmanager
def _open_tiff(place: str | os.PathLike[str], way: str) -> Iterator[OpenTiff]:
    with open_place(place) as stream:
        yield OpenTiff(stream, pages_of(stream))


@contextmanager
def _open_maps(place: str | os.PathLike[str], way: str) -> Iterator[OpenMaps]:
    with open_place(place) as stream:
        yield OpenMaps(stream, maps_of(stream))


_ANIMATIONS = KeptOpen(_open_animation, lambda found: getattr(found[1], "n_frames", 1) > 1)
_TIFFS = KeptOpen(_open_tiff, lambda tiff: len(tiff.pages) > 1)
_MAPS = KeptOpen(_open_maps, lambda maps: len(maps.starts) > 1)


def _stands_before(frame: int, found: tuple[BinaryIO, ImageFile.ImageFile]) -> bool:
    """Whether an animation can be read on to a frame: what Pillow shows after a step back is not the same."""
    return found[1].tell() <= frame


def _load(im: ImageFile.ImageFile) -> None:
    """Loads a frame so that those behind it come out as if it had been skipped.

    Pillow draws a frame of an animated PNG into the picture before it, to which the next frame may go back.
    """
    before = getattr(im, "_prev_im", None) if im.format == "PNG" else None
    kept = before.copy() if before is not None else None
    im.load()
    if kept is not None:
        im._prev_im = kept  # type: ignore[attr-defined]


def _deep_jpeg_2000(data: bytes) -> Array | None:
    """Colour of more than 8 bits, which Pillow would reduce, or ``None`` where it is not so deep."""
    at = data.find(b"\xff\x4f\xff\x51")
    # The SIZ segment: a byte of depth and sign for every component (ITU-T T.800, A.5.1).
    if at < 0 or at + 43 > len(data) or data[at + 42] & 0x7F < 8:
        return None
    from openjpeg.utils import decode as by_openjpeg

    return blended(np.asarray(by_openjpeg(io.BytesIO(data))))
