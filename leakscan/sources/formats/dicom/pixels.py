"""The stored integers of one frame, whatever they are packed in."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut

from leakscan.errors import ImageError
from leakscan.sources.formats.dicom.codecs import decoder_options, decompressed
from leakscan.sources.formats.dicom.layout import PixelFormat
from leakscan.sources.formats.dicom.open_file import FLOAT_PIXELS, UNDEFINED_LENGTH, OpenFile
from leakscan.sources.formats.dicom.values import tag_of

Stored = npt.NDArray[np.generic]

_PALETTES = tuple(tag_of(f"{c}PaletteColorLookupTableDescriptor") for c in ("Red", "Green", "Blue"))

_NATIVE = {
    (True, True): uid.ImplicitVRLittleEndian,
    (False, True): uid.ExplicitVRLittleEndian,
    (False, False): uid.ExplicitVRBigEndian,
}


def read_frame(file: OpenFile, layout: PixelFormat, frame: int, frames: int) -> Stored:
    """Decodes one frame.

    Args:
        file: The file, which stands at its pixels.
        layout: What :func:`pixel_format` read.
        frame: The number of the frame, counted from 0.
        frames: The number of frames in the file.

    Returns:
        ``(rows, columns)``, or ``(rows, columns, 3)`` RGB for colour; native byte order; unused bits
        cleared or sign-extended. MONOCHROME1 is not flipped yet.

    Raises:
        ImageError: ``unreadable`` if the data is short, damaged or in a syntax without a decoder.

    Example:
        >>> from pydicom.examples import get_path
        >>> from leakscan.sources.formats.dicom.layout import pixel_format
        >>> from leakscan.sources.formats.dicom.open_file import opened
        >>> with opened(get_path("mr")) as file:
        ...     frame = read_frame(file, pixel_format(file, 64, 64), frame=0, frames=1)
        >>> frame.shape, frame.dtype.name
        ((64, 64), 'int16')
    """
    cast(BinaryIO, file.pixels).seek(file.start)
    if file.tag in FLOAT_PIXELS:
        return _floats(file, layout, frame)
    if file.length == UNDEFINED_LENGTH:
        array = _without_overlay(decompressed(file, layout, frame, frames), layout)
    else:
        array = _native(file, layout, frame, frames)
    if array.shape[:2] != (layout.rows, layout.columns):
        raise ImageError("unreadable", "Its pixels do not have the shape that its header gives.")
    if layout.photometric == "PALETTE COLOR" and all(tag in file.dataset for tag in _PALETTES):
        array = apply_color_lut(array, file.dataset)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.ndim == 3 and (array[..., 0] == array[..., 1]).all() and (array[..., 0] == array[..., 2]).all():
        array = np.ascontiguousarray(array[..., 0])
    return array


def _without_overlay(array: Stored, layout: PixelFormat) -> Stored:
    """Clears bits above those stored where they hold an overlay, as old files keep one there.

    Some headers state too few bits instead. There the upper bits go on where the lower ones overflow, so
    that the lower ones jump wherever the upper ones change. At the rim of an overlay they do not.
    """
    bits = layout.stored + layout.shift
    whole = array.dtype.kind == "u" and array.ndim == 2 and bits < array.dtype.itemsize * 8
    if not whole or not array.size or int(array.max()) >> bits == 0:
        return array
    numbers = array.astype(np.int64)
    upper, lower = numbers >> bits, numbers & ((1 << bits) - 1)
    changes = upper[:, 1:] != upper[:, :-1]
    jumps = np.abs(np.diff(lower, axis=1))[changes]
    if jumps.size and np.median(jumps) > 1 << (bits - 1):
        return array
    return lower.astype(array.dtype)


def flipped(array: Stored, layout: PixelFormat) -> Stored:
    """MONOCHROME1 as MONOCHROME2: ``2**stored - 1 - x``, or ``-1 - x`` for signed numbers.

    Both map the smallest number that BitsStored allows to the largest (PS3.3 C.7.6.3.1.2). Floating-point
    numbers have no largest one; their sign is changed.

    Example:
        >>> shape, bits = {"rows": 1, "columns": 3, "samples": 1}, {"allocated": 16, "stored": 12, "shift": 0}
        >>> layout = PixelFormat(**shape, **bits, signed=False, planar=0, photometric="MONOCHROME1")
        >>> flipped(np.array([[0, 5, 4095]], np.uint16), layout).tolist()
        [[4095, 4090, 0]]
    """
    if not layout.inverted or array.ndim != 2:
        return array
    if array.dtype.kind == "f":
        return cast(Stored, -cast(Any, array))
    if layout.signed:
        return cast(Stored, np.invert(cast(Any, array)))  # two's complement: -1 - x
    top = array.dtype.type(2**layout.stored - 1)
    return cast(Stored, top - cast(Any, array))


def _native(file: OpenFile, layout: PixelFormat, frame: int, frames: int) -> Stored:
    bits = layout.rows * layout.columns * layout.samples * layout.allocated
    if layout.photometric == "YBR_FULL_422":
        bits = bits * 2 // 3
    if math.ceil(bits * (frame + 1) / 8) > file.available:
        raise ImageError("unreadable", "Its pixel data is cut short.")
    encoding = file.dataset.original_encoding
    if file.transfer_syntax not in ("", *_known_syntaxes()):
        raise ImageError(
            "unsupported",
            f"Its transfer syntax {file.transfer_syntax} needs an unknown decoder.",
            left_out="DICOM in an unknown transfer syntax",
        )
    if layout.allocated == 12 and layout.samples == 1:
        return _packed(file, layout, frame)
    syntax = _NATIVE.get((bool(encoding[0]), bool(encoding[1])), uid.ExplicitVRLittleEndian)
    array, _ = get_decoder(syntax).as_array(
        cast(BinaryIO, file.pixels), index=frame, **decoder_options(layout, file, frames)
    )
    return cast(Stored, np.right_shift(array, layout.shift) if layout.shift else array)


def _floats(file: OpenFile, layout: PixelFormat, frame: int) -> Stored:
    """Float Pixel Data or Double Float Pixel Data (PS3.3 C.7.6.24), of one sample a pixel."""
    kind = np.dtype(np.float32 if file.tag == FLOAT_PIXELS[0] else np.float64)
    if not file.dataset.original_encoding[1]:
        kind = kind.newbyteorder(">")
    size = layout.rows * layout.columns * kind.itemsize
    stream = cast(BinaryIO, file.pixels)
    stream.seek(file.start + frame * size)
    raw = stream.read(size)
    if len(raw) < size or file.available < (frame + 1) * size:
        raise ImageError("unreadable", "Its pixel data is cut short.")
    numbers = np.frombuffer(raw, kind).reshape(layout.rows, layout.columns)
    return np.nan_to_num(numbers.astype(kind.newbyteorder("=")), posinf=0.0, neginf=0.0)


def _packed(file: OpenFile, layout: PixelFormat, frame: int) -> Stored:
    """Numbers of 12 bits without gaps between them, two in three bytes, the lower bits first (retired)."""
    count = layout.rows * layout.columns
    stream = cast(BinaryIO, file.pixels)
    first = frame * count
    stream.seek(file.start + first // 2 * 3)
    raw = np.frombuffer(stream.read((first % 2 + count + 1) // 2 * 3), np.uint8).astype(np.uint16)
    raw = np.append(raw, np.zeros(-len(raw) % 3, np.uint16)).reshape(-1, 3)
    pairs = np.stack([raw[:, 0] | (raw[:, 1] & 15) << 8, raw[:, 1] >> 4 | raw[:, 2] << 4], axis=1)
    numbers = pairs.ravel()[first % 2 : first % 2 + count].reshape(layout.rows, layout.columns)
    if layout.signed:
        return cast(Stored, (numbers << 4).view(np.int16) >> 4)
    return cast(Stored, numbers)


@lru_cache(maxsize=1)
def _known_syntaxes() -> frozenset[str]:
    return frozenset(str(x) for x in uid.AllTransferSyntaxes)
