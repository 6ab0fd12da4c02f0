"""Compressed frames: which codec a stream is in, and the one decoder trusted with it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.encaps import encapsulate, get_frame, parse_basic_offsets, parse_fragments
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.dicom.gdcm_child import JpegStream
from leakscan.sources.formats.dicom.gdcm_frames import gdcm_decode
from leakscan.sources.formats.dicom.layout import PixelFormat
from leakscan.sources.formats.dicom.open_file import OpenFile
from leakscan.sources.formats.dicom.values import raw_bytes, tag_of

Stored = npt.NDArray[np.generic]

_OFFSETS, _OFFSET_LENGTHS = tag_of("ExtendedOffsetTable"), tag_of("ExtendedOffsetTableLengths")

# The start-of-frame marker says which JPEG it is (ITU-T T.81 table B.1, T.87, T.800).
_JPEG_FRAMES = {
    0xC0: uid.JPEGBaseline8Bit,
    0xC1: uid.JPEGExtended12Bit,
    0xC2: uid.JPEGBaseline8Bit,  # progressive: never allowed in DICOM, but Pillow reads it
    0xC3: uid.JPEGLossless,
    0xF7: uid.JPEGLSLossless,
}
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_JPEG_2000 = b"\xff\x4f\xff\x51"
_BY_GDCM = frozenset((uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1))
_ENDED = frozenset((*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes, *uid.JPEG2000TransferSyntaxes))
_PLAIN_IN_FRAMES = uid.UID("1.2.840.10008.1.2.1.98")
"""Pixels that are not compressed, one item a frame (PS3.5 A.4.11)."""
_PLUGINS = ("pyjpegls", "pylibjpeg", "pydicom", "pillow")


def decoder_options(layout: PixelFormat, file: OpenFile, frames: int) -> dict[str, Any]:
    """What pydicom's decoders need to know of a file.

    Example:
        >>> from pydicom.examples import get_path
        >>> from leakscan.sources.formats.dicom.layout import pixel_format
        >>> from leakscan.sources.formats.dicom.open_file import opened
        >>> with opened(get_path("ct")) as file:
        ...     known = decoder_options(pixel_format(file, 128, 128), file, frames=1)
        >>> known["bits_allocated"], known["pixel_representation"], known["pixel_vr"]
        (16, 1, 'OW')
    """
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.photometric,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored + layout.shift,
        "pixel_representation": int(layout.signed),
        "planar_configuration": layout.planar,
        "number_of_frames": frames,
        "pixel_keyword": "PixelData",
        "pixel_vr": file.vr or "OW",
    }


def decompressed(file: OpenFile, layout: PixelFormat, frame: int, frames: int) -> Stored:
    """Decodes one encapsulated frame.

    The stream itself says which JPEG it is; the declared transfer syntax counts where it does not.

    Raises:
        ImageError: ``unreadable`` if the frame is short or damaged, ``unsupported`` where nothing decodes it.

    Example:
        >>> from pathlib import Path
        >>> from pydicom.data import get_testdata_file
        >>> from leakscan.sources.formats.dicom.layout import pixel_format
        >>> from leakscan.sources.formats.dicom.open_file import opened
        >>> with opened(Path(get_testdata_file("MR_small_RLE.dcm"))) as file:
        ...     decompressed(file, pixel_format(file, 64, 64), frame=0, frames=1).shape
        (64, 64)
    """
    offsets, lengths = (raw_bytes(file.dataset, tag) for tag in (_OFFSETS, _OFFSET_LENGTHS))
    try:
        extended: Any = (offsets, lengths) if offsets and lengths else _items(file, frames)
        data = get_frame(cast(Any, file.pixels), frame, number_of_frames=frames, extended_offsets=extended)
    except Exception as error:
        raise ImageError("unreadable", "Its pixel data is cut short or damaged.") from error
    syntax = _syntax_of(data) or uid.UID(file.transfer_syntax)
    if syntax in _ENDED and b"\xff\xd9" not in data[-128:]:
        # Every JPEG and JPEG 2000 stream ends with this marker; decoders may fill in what is missing.
        raise ImageError("unreadable", "Its pixel data is cut short.")
    if _size_of(data) not in (None, (layout.rows, layout.columns, layout.samples)):
        # A damaged size would make a decoder claim gigabytes before it fails.
        raise ImageError("unreadable", "Its pixels do not have the shape that its header gives.")
    if data.startswith(_JPEG_XL):
        from leakscan.sources.formats.raster.jpeg_xl import decode_jpeg_xl

        return decode_jpeg_xl(data, 0, DecodeOptions(max_pixels=layout.rows * layout.columns))
    if syntax in _BY_GDCM:
        return _by_gdcm(data, syntax, layout)
    if syntax == _PLAIN_IN_FRAMES:
        plain, _ = get_decoder(uid.ExplicitVRLittleEndian).as_array(
            data, index=0, **decoder_options(layout, file, 1)
        )
        return cast(Stored, plain)
    return _decoded(data, syntax, layout, file)


def _items(file: OpenFile, frames: int) -> tuple[list[int], list[int]] | None:
    """Where the frames of a file without a table of offsets are, if each is one item.

    pydicom would go through all items anew for every frame.
    """
    if frames < 2:
        return None
    if file.items is None:
        stream = cast(Any, file.pixels)
        file.items = [], []
        stream.seek(file.start)
        if not parse_basic_offsets(stream):
            behind = stream.tell()
            count, starts = parse_fragments(stream)
            if count == frames:
                for start in starts:
                    stream.seek(start + 4)
                    file.items[1].append(int.from_bytes(stream.read(4), "little"))
                file.items[0].extend(start - behind for start in starts)
        stream.seek(file.start)
    return file.items if file.items[0] else None


@dataclass(frozen=True)
class JpegFrame:
    """The frame header of a JPEG stream (ITU-T T.81 B.2.2)."""

    syntax: uid.UID
    precision: int
    rows: int
    columns: int
    samples: int


def _jpeg_frame(data: bytes) -> JpegFrame | None:
    """The frame header of a stream of the JPEG or JPEG-LS family, or ``None`` if there is none."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            rows, columns = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            return JpegFrame(_JPEG_FRAMES[marker], data[at + 4], rows, columns, data[at + 9])
        # A fill byte may stand before a marker.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def _size_of(data: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and samples that a stream itself declares (JPEG 2000: the SIZ segment, T.800 A.5.1)."""
    if data[:4] == _JPEG_2000 and len(data) >= 42:
        right, bottom, left, top = (int.from_bytes(data[k : k + 4]) for k in (8, 12, 16, 20))
        return bottom - top, right - left, int.from_bytes(data[40:42])
    frame = _jpeg_frame(data)
    return (frame.rows, frame.columns, frame.samples) if frame is not None else None


def _syntax_of(data: bytes) -> uid.UID | None:
    """The transfer syntax that a JPEG family stream shows by itself; files declare wrong ones."""
    if data[:4] == _JPEG_2000:
        return uid.JPEG2000
    frame = _jpeg_frame(data)
    if frame is None:
        return None
    # Pillow reads extended JPEG of 8 bits as it reads baseline.
    is_8_bit = frame.syntax == uid.JPEGExtended12Bit and frame.precision == 8
    return uid.JPEGBaseline8Bit if is_8_bit else frame.syntax


def _decoded(data: bytes, syntax: uid.UID, layout: PixelFormat, file: OpenFile) -> Stored:
    try:
        decoder = get_decoder(syntax)
        missing = "; ".join(decoder.missing_dependencies)
    except NotImplementedError:
        decoder, missing = None, "a decoder that does not exist here"
    plugin = next((x for x in _PLUGINS if decoder and x in decoder.available_plugins), None)
    if decoder is None or plugin is None:
        name = syntax.name or "(none)"
        kind = f"DICOM in transfer syntax {name}"
        raise ImageError("unsupported", f"Its transfer syntax {name} needs {missing}.", left_out=kind)
    try:
        with _muted():
            array, _ = decoder.as_array(
                encapsulate([data], has_bot=False),
                index=0,
                decoding_plugin=plugin,
                **decoder_options(layout, file, 1),
            )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in pylibjpeg's Rust code is no Exception
        raise ImageError("unreadable", f"Its {syntax.name} pixel data is damaged.") from error
    return cast(Stored, array)


def _by_gdcm(data: bytes, syntax: uid.UID, layout: PixelFormat) -> Stored:
    """12-bit and lossless JPEG; pydicom's own bridge to GDCM leaves the former out."""
    frame = _jpeg_frame(data)
    size = (layout.rows, layout.columns, layout.samples)
    damaged = ImageError("unreadable", f"Its {syntax.name} pixel data is damaged.")
    if frame is None or not 2 <= frame.precision <= 16:
        raise damaged
    bits = 8 if frame.precision <= 8 else 16
    stream = JpegStream(
        data=data,
        syntax=str(syntax),
        photometric=layout.photometric,
        rows=layout.rows,
        columns=layout.columns,
        samples=layout.samples,
        allocated=bits,
        stored=min(layout.stored, bits),
    )
    buffer = gdcm_decode(stream)
    array: npt.NDArray[Any] = np.frombuffer(buffer, dtype=f"<u{bits // 8}")
    if array.size != math.prod(size):
        raise damaged
    if layout.samples > 1:
        array = array.reshape(size)
        is_ybr = layout.photometric.startswith("YBR_FULL")
        return cast(Stored, convert_color_space(array, "YBR_FULL", "RGB") if is_ybr else array)
    if layout.signed:  # the stream holds the low bits of two's complement
        shift = bits - min(layout.stored, bits)
        array = (array << shift).view(f"<i{bits // 8}") >> shift
    return cast(Stored, array.reshape(size[:2]))


@contextmanager
def _muted() -> Iterator[None]:
    """Sends the process's stderr to nowhere: codecs in C and Rust write to it directly."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
