"""How the numbers of a DICOM file's pixels are stored."""

from __future__ import annotations

from dataclasses import dataclass

from leakscan.errors import ImageError
from leakscan.sources.formats.dicom.open_file import UNDEFINED_LENGTH, OpenFile
from leakscan.sources.formats.dicom.values import integer, tag_of, text

_BITS_ALLOCATED, _BITS_STORED, _HIGH_BIT = map(tag_of, ("BitsAllocated", "BitsStored", "HighBit"))
_SIGNED, _SAMPLES = tag_of("PixelRepresentation"), tag_of("SamplesPerPixel")
_PLANAR, _PHOTOMETRIC = tag_of("PlanarConfiguration"), tag_of("PhotometricInterpretation")

_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_GREYS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """How a frame's numbers are stored; missing or senseless elements are replaced by the usual.

    Attributes:
        rows, columns, samples: The shape of a frame.
        allocated, stored: The bits per sample in the file, and how many of them are used.
        shift: The number of unused low bits (HighBit above BitsStored - 1, retired but met).
        signed: Whether the numbers are two's complement.
        planar: 1 where each colour has a plane of its own, 0 where the colours of a pixel stand together.
        photometric: The PhotometricInterpretation.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    shift: int
    signed: bool
    planar: int
    photometric: str

    @property
    def inverted(self) -> bool:
        """Whether small numbers are bright."""
        return self.photometric == "MONOCHROME1"


def pixel_format(file: OpenFile, rows: int, columns: int) -> PixelFormat:
    """Reads how the pixels of a file are stored.

    Raises:
        ImageError: ``unsupported`` for colour spaces and sample counts that no image should have.

    Example:
        >>> from pydicom.examples import get_path
        >>> from leakscan.sources.formats.dicom.open_file import opened
        >>> with opened(get_path("ct")) as file:
        ...     layout = pixel_format(file, 128, 128)
        >>> layout.stored, layout.signed, layout.inverted
        (16, True, False)
    """
    dataset = file.dataset
    samples = integer(dataset, _SAMPLES, 1)
    photometric = " ".join(text(dataset, _PHOTOMETRIC).upper().split())
    if not photometric or (samples == 1 and photometric in _COLOURS):
        photometric = "MONOCHROME2" if samples == 1 else "RGB"
    if samples == 3 and photometric in _GREYS:
        photometric = "RGB"
    if samples not in (1, 3) or photometric not in (*_COLOURS, *_GREYS):
        raise ImageError(
            "unsupported", f"Its colours ({photometric}, {samples} samples a pixel) are not read."
        )
    allocated = integer(dataset, _BITS_ALLOCATED, 0) or _container(integer(dataset, _BITS_STORED, 8))
    stored = integer(dataset, _BITS_STORED, allocated)
    if not 1 <= stored <= allocated:
        stored = allocated
    shift = integer(dataset, _HIGH_BIT, stored - 1) + 1 - stored
    shift = shift if file.length != UNDEFINED_LENGTH and 0 < shift <= allocated - stored else 0
    signed = integer(dataset, _SIGNED) == 1
    planar = 1 if integer(dataset, _PLANAR) == 1 else 0
    return PixelFormat(
        rows=rows,
        columns=columns,
        samples=samples,
        allocated=allocated,
        stored=stored,
        shift=shift,
        signed=signed,
        planar=planar,
        photometric=photometric,
    )


def _container(bits: int) -> int:
    return 8 if bits <= 8 else 16 if bits <= 16 else 32
