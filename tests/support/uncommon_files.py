"""Files that strangers to this project invented when they tried to break it: what must be read of them."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pydicom
from PIL import PngImagePlugin
from pydicom.encaps import encapsulate

from support import dicom_maker
from support.makers import Picture
from support.odd_files import ALTERED, EITHER, Maker, OddFile, _bytes, _write, png, zipped
from support.rare_files import _written

_SHORT = "NRRD0004\n{0}type: short\ndimension: 3\nsizes: {1} {2} 1\nendian: little\nencoding: {3}\n"
_PLACED = "space: right-anterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"


def _slice(pixels: Picture) -> npt.NDArray[np.int16]:
    """One slice as the readers of volumes store it."""
    return np.ascontiguousarray(pixels.T[::-1, ::-1, None]).astype(np.int16)


def _bare(pixels: Picture, first: int, implicit: bool) -> bytes:
    """A DICOM file without preamble, from which all groups before one are gone."""
    ds = dicom_maker.dataset(pixels.astype(np.uint16), PatientName="A")
    del ds.file_meta
    for element in list(ds):
        if element.tag.group < first:
            del ds[element.tag]
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return stream.getvalue()


def _behind_a_sequence(pixels: Picture) -> bytes:
    """A DICOM file without preamble whose second element is a sequence without a length."""
    names = ("SOPClassUID", "SOPInstanceUID", "Modality", "StudyDate", "PatientID")
    ds = dicom_maker.dataset(pixels.astype(np.uint16), SpecificCharacterSet="ISO_IR 100")
    del ds.file_meta
    for name in names:
        delattr(ds, name)
    study = pydicom.Dataset()
    study.ReferencedSOPInstanceUID = "1.2.3"
    ds.ReferencedStudySequence = [study]
    ds["ReferencedStudySequence"].is_undefined_length = True
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return stream.getvalue()


def _of_floats(pixels: Picture, name: str, kind: str, photometric: str = "MONOCHROME2") -> bytes:
    """A film whose pixels are floating-point numbers."""
    numbers = pixels.astype(kind)
    ds = dicom_maker.dataset(pixels, PhotometricInterpretation=photometric)
    for gone in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, gone)
    ds.BitsAllocated = 8 * numbers.itemsize
    setattr(ds, name, (-numbers if photometric == "MONOCHROME1" else numbers).tobytes())
    return _written(ds)


def _in_items(pixels: Picture) -> bytes:
    """A film whose pixels are not compressed and lie in items as compressed ones do."""
    ds = dicom_maker.dataset(pixels)
    ds.PixelData = encapsulate([pixels.tobytes()])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID("1.2.840.10008.1.2.1.98")
    return _written(ds)


def _coloured(pixels: Picture, channels: str) -> bytes:
    """A slice of equal channels in NIfTI."""
    voxels = np.zeros(_slice(pixels).shape, [(name, "u1") for name in channels])
    for name in channels:
        voxels[name] = 255 if name == "A" else _slice(pixels)
    return bytes(nib.Nifti1Image(voxels, np.eye(4)).to_bytes())


def _complex(pixels: Picture) -> bytes:
    """A slice of complex numbers, whose magnitude is the picture."""
    turned = _slice(pixels).astype(np.complex64) * np.complex64(1j)
    return bytes(nib.Nifti1Image(turned, np.eye(4)).to_bytes())


def _nrrd_header(pixels: Picture, encoding: str, notes: int = 0) -> str:
    across, down, _ = _slice(pixels).shape
    return _SHORT.format("# a note\n" * notes, across, down, encoding) + _PLACED


def _nrrd(pixels: Picture, encoding: str, pack: Callable[[bytes], bytes], notes: int = 0) -> bytes:
    voxels = pack(_slice(pixels).tobytes("F"))
    return _nrrd_header(pixels, encoding, notes).encode() + b"\n" + voxels


def _coloured_nrrd(pixels: Picture) -> bytes:
    voxels = np.stack([_slice(pixels)[..., 0].astype(np.uint8)] * 3)
    sizes = f"sizes: 3 {voxels.shape[1]} {voxels.shape[2]}"
    head = f"NRRD0004\ntype: uint8\ndimension: 3\n{sizes}\nencoding: raw\nkinds: RGB-color domain domain\n\n"
    return head.encode() + voxels.tobytes("F")


def _nhdr(where: str, said: str = "", pack: Callable[[bytes], bytes] = bytes, encoding: str = "raw") -> Maker:
    """A header whose voxels lie in another file."""

    def write(folder: Path, pixels: Picture) -> None:
        _write(folder / where, pack(_slice(pixels).tobytes("F")))
        header = _nrrd_header(pixels, encoding) + f"data file: {said or where}\n"
        (folder / "a.nhdr").write_text(header)

    return write


def _mhd(where: str, said: str = "", header: str = "a.mhd") -> Maker:
    def write(folder: Path, pixels: Picture) -> None:
        voxels = _slice(pixels)
        _write(folder / where, voxels.tobytes("F"))
        size = " ".join(map(str, voxels.shape))
        (folder / header).parent.mkdir(parents=True, exist_ok=True)
        (folder / header).write_text(
            "ObjectType = Image\nNDims = 3\nTransformMatrix = -1 0 0 0 -1 0 0 0 1\nElementSpacing = 1 1 1\n"
            f"DimSize = {size}\nElementType = MET_SHORT\nElementDataFile = {said or where}\n"
        )

    return write


def _linked_header(folder: Path, pixels: Picture) -> None:
    """A link to a header whose voxels lie beside the header, not beside the link."""
    _mhd(".pool/a.raw", "a.raw", ".pool/a.mhd")(folder, pixels)
    (folder / "linked.mhd").symlink_to(".pool/a.mhd")


def _header_and_voxels_in_a_zip(pixels: Picture) -> bytes:
    header = _nrrd_header(pixels, "raw") + "data file: voxels/a.raw\n"
    return zipped(**{"in/a.nhdr": header.encode(), "in/voxels/a.raw": _slice(pixels).tobytes("F")})


def _noted_png(pixels: Picture, packed: bool) -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("protocol", "x" * 3_000_000, zip=packed)
    return png(pixels, pnginfo=notes, icc_profile=np.random.default_rng(0).bytes(2_000_000))


def _in_skipped_frames(pixels: Picture) -> bytes:
    """Zstandard as parallel compressors write it: a frame to be skipped comes first."""
    return b"\x50\x2a\x4d\x18\4\0\0\0abcd" + bytes(pa.compress(png(pixels), codec="zstd", asbytes=True))


_SITK = "SimpleITK"

UNCOMMON_FILES: tuple[OddFile, ...] = (
    OddFile("bare dicom without its first groups", _bytes("a.dcm", lambda p: _bare(p, 0x10, False))),
    OddFile("bare dicom of pixels alone", _bytes("IM1", lambda p: _bare(p, 0x28, True))),
    OddFile("bare dicom behind a sequence", _bytes("IM1", _behind_a_sequence)),
    OddFile("dicom of floats", _bytes("a.dcm", lambda p: _of_floats(p, "FloatPixelData", "<f4"))),
    OddFile("dicom of doubles", _bytes("a.dcm", lambda p: _of_floats(p, "DoubleFloatPixelData", "<f8"))),
    OddFile(
        "inverted dicom of floats",
        _bytes("a.dcm", lambda p: _of_floats(p, "FloatPixelData", "<f4", "MONOCHROME1")),
    ),
    OddFile("dicom in items without compression", _bytes("a.dcm", _in_items)),
    OddFile("nifti of colours", _bytes("a.nii", lambda p: _coloured(p, "RGB"))),
    OddFile("nifti of colours and alpha", _bytes("a.nii", lambda p: _coloured(p, "RGBA"))),
    OddFile("nifti of complex numbers", _bytes("a.nii", _complex), ALTERED),
    OddFile("nrrd of colours", _bytes("a.nrrd", _coloured_nrrd), ALTERED, needs=_SITK),
    OddFile("nrrd in bzip2", _bytes("a.nrrd", lambda p: _nrrd(p, "bzip2", bz2.compress)), needs=_SITK),
    OddFile(
        "nrrd with a long header",
        _bytes("a.nrrd", lambda p: _nrrd(p, "gzip", gzip.compress, 9000)),
        needs=_SITK,
    ),
    OddFile("nhdr with voxels in a folder", _nhdr("voxels/a.raw"), needs=_SITK),
    OddFile("nhdr in bzip2", _nhdr("a.raw.bz2", "", bz2.compress, "bzip2"), needs=_SITK),
    OddFile("nhdr of another machine", _nhdr("a.raw", "/data/of/others/a.raw"), needs=_SITK),
    OddFile("nhdr of a list", _nhdr("a.raw", "LIST\na.raw"), needs=_SITK),
    OddFile("mhd with voxels in a folder", _mhd("voxels/a.raw"), needs=_SITK),
    OddFile("mhd with backslashes", _mhd("voxels/a.raw", "voxels\\a.raw"), needs=_SITK),
    OddFile("link to a header", _linked_header, needs=_SITK),
    OddFile(
        "header with voxels below it in a zip", _bytes("a.zip", _header_and_voxels_in_a_zip), needs=_SITK
    ),
    OddFile("png with 3 MB of text", _bytes("a.png", lambda p: _noted_png(p, False))),
    OddFile("png with 3 MB of packed text", _bytes("a.png", lambda p: _noted_png(p, True))),
    OddFile("zstd behind a skipped frame", _bytes("a.png.zst", _in_skipped_frames), EITHER),
)
