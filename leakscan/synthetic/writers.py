"""Writes drawn or altered pictures as the files that hospitals and public datasets hold.

They are for demos and measurements only: the DICOM objects are valid enough to be read, but nobody may be
treated by them. Everything is a function of its arguments, so equal seeds write equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

FilmPixels = npt.NDArray[np.unsignedinteger[Any]]
"""Grey pixels ``(height, width)`` of a film in 8 or 16 bits; a large number is white."""
Compression = Literal["", "jpeg2000", "rle"]


def write_png(film: FilmPixels, path: Path) -> None:
    """Writes 8- or 16-bit grey pixels ``(height, width)`` as PNG.

    Example:
        >>> write_png(np.array([[0, 4095]], np.uint16), Path("film.png"))
        >>> np.asarray(Image.open("film.png")).tolist()
        [[0, 4095]]
    """
    Image.fromarray(np.ascontiguousarray(film)).save(path, format="PNG")


def write_jpeg(film: npt.NDArray[np.uint8], path: Path, quality: int = 90) -> None:
    """Writes 8-bit grey pixels ``(height, width)`` as JPEG of a quality in 1..95.

    Example:
        >>> write_jpeg(np.full((8, 8), 100, np.uint8), Path("film.jpg"), quality=50)
        >>> Image.open("film.jpg").format, Image.open("film.jpg").size
        ('JPEG', (8, 8))
    """
    Image.fromarray(np.ascontiguousarray(film)).save(path, format="JPEG", quality=quality)


def write_tiff(film: FilmPixels, path: Path) -> None:
    """Writes 8- or 16-bit grey pixels ``(height, width)`` as a deflated TIFF of one page.

    Example:
        >>> write_tiff(np.array([[0, 4095]], np.uint16), Path("film.tif"))
        >>> np.asarray(Image.open("film.tif")).tolist()
        [[0, 4095]]
    """
    Image.fromarray(np.ascontiguousarray(film)).save(path, format="TIFF", compression="tiff_deflate")


def _uid(rng: np.random.Generator) -> str:
    return str(generate_uid(entropy_srcs=[rng.bytes(16).hex()]))


def _instance(sop_class: str, rng: np.random.Generator, patient: str, study: str, series: str) -> FileDataset:
    """An image object with its identity set and no pixels yet."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(_uid(rng))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID = study
    ds.SeriesInstanceUID = series
    ds.PatientID = patient
    ds.PatientName = ""
    return ds


def _set_pixels(ds: FileDataset, film: FilmPixels, photometric: str) -> None:
    bits = 8 * film.dtype.itemsize
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.Rows, ds.Columns = film.shape
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelRepresentation = 0
    raw = np.ascontiguousarray(film).astype(film.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"


@dataclass(frozen=True)
class FilmTags:
    """What a DICOM object says of the patient.

    Attributes:
        patient: The PatientID, or empty.
        body_part: The BodyPartExamined; a drawing should not call itself a chest.
    """

    patient: str = ""
    body_part: str = "CHEST"


def write_dicom_film(
    film: FilmPixels,
    path: Path,
    rng: np.random.Generator,
    *,
    monochrome1: bool = False,
    compression: Compression = "",
    tags: FilmTags = FilmTags(),
) -> None:
    """Writes a frontal chest film ``(height, width)`` as a computed-radiography object.

    Args:
        film: The pixels to store.
        path: The file to write.
        rng: Gives the UIDs.
        monochrome1: Whether to store the negative and to say so, as some detectors do.
        compression: A lossless transfer syntax, or none.
        tags: What the object says of the patient.

    Example:
        >>> from pydicom import dcmread
        >>> film = np.array([[0, 255]], np.uint8)
        >>> write_dicom_film(film, Path("film.dcm"), np.random.default_rng(0), monochrome1=True)
        >>> dcmread("film.dcm").PhotometricInterpretation, dcmread("film.dcm").pixel_array.tolist()
        ('MONOCHROME1', [[255, 0]])
    """
    ds = _instance(ComputedRadiographyImageStorage, rng, tags.patient, _uid(rng), _uid(rng))
    ds.Modality = "CR"
    ds.BodyPartExamined = tags.body_part
    ds.ViewPosition = "PA"
    ds.InstanceNumber = 1
    if monochrome1:
        _set_pixels(ds, np.asarray(np.iinfo(film.dtype).max - film, dtype=film.dtype), "MONOCHROME1")
    else:
        _set_pixels(ds, film, "MONOCHROME2")
    if compression:
        syntax = JPEG2000Lossless if compression == "jpeg2000" else RLELossless
        ds.compress(syntax, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a drawn volume lie: RAS+, axes along the body's, no rotation.

    Attributes:
        spacing_mm: The edges of a voxel along x, y, z.
    """

    spacing_mm: tuple[float, float, float]

    def affine(self, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """NIfTI affine ``(4, 4)`` that puts the middle of the volume at the scanner's origin."""
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = [-s * (n - 1) / 2 for s, n in zip(self.spacing_mm, shape, strict=True)]
        return affine


def write_nifti(volume: npt.NDArray[np.uint16], path: Path, grid: Grid, *, left_first: bool = False) -> None:
    """Writes ``(x, y, z)`` in RAS+ order as NIfTI-1; ``path`` ends in ``.nii`` or ``.nii.gz``.

    Args:
        volume: The numbers to store, without scaling.
        path: The file to write.
        grid: Where the voxels lie.
        left_first: Whether to store x from right to left and to say so in the affine, as converters from
            DICOM do.

    Example:
        >>> head, grid = np.zeros((4, 5, 6), np.uint16), Grid((1.0, 1.0, 2.5))
        >>> write_nifti(head, Path("head.nii.gz"), grid, left_first=True)
        >>> nibabel.aff2axcodes(nibabel.load("head.nii.gz").affine)
        ('L', 'A', 'S')
    """
    affine = grid.affine(volume.shape)
    if left_first:
        volume = volume[::-1]
        affine[0] *= -1
    image = nibabel.Nifti1Image(volume, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    nibabel.save(image, path)


def write_dicom_series(
    volume: npt.NDArray[np.uint16],
    folder: Path,
    grid: Grid,
    rng: np.random.Generator,
    *,
    names: list[str],
    patient: str = "",
) -> None:
    """Writes ``(x, y, z)`` in RAS+ order as an axial MR series, one file a slice.

    DICOM's patient axes are left, posterior, superior (PS3.3 C.7.6.2), so x and y run backwards
    from RAS+: rows go from front to back and columns from the patient's right to left.

    Args:
        volume: The numbers to store, without rescaling.
        folder: An existing folder for the slices.
        grid: Where the voxels lie.
        rng: Gives the UIDs.
        names: One file name per slice, from the lowest slice up.
        patient: The PatientID, or empty.

    Example:
        >>> from pydicom import dcmread
        >>> head, grid = np.zeros((4, 6, 2), np.uint16), Grid((1.0, 1.0, 2.5))
        >>> names = ["low.dcm", "high.dcm"]
        >>> write_dicom_series(head, Path("."), grid, np.random.default_rng(0), names=names)
        >>> [float(dcmread(name).ImagePositionPatient[2]) for name in names]
        [-1.25, 1.25]
    """
    study, series, frame = _uid(rng), _uid(rng), _uid(rng)
    middle = [(n - 1) / 2 for n in volume.shape]
    sx, sy, sz = grid.spacing_mm
    for k, name in enumerate(names):
        ds = _instance(MRImageStorage, rng, patient, study, series)
        ds.Modality = "MR"
        ds.BodyPartExamined = "BRAIN"
        ds.FrameOfReferenceUID = frame
        ds.InstanceNumber = k + 1
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [-middle[0] * sx, -middle[1] * sy, (k - middle[2]) * sz]
        ds.PixelSpacing = [sy, sx]
        ds.SliceThickness = sz
        ds.SpacingBetweenSlices = sz
        # Columns of a slice must run to the patient's left and rows to the back.
        _set_pixels(ds, volume[::-1, ::-1, k].T, "MONOCHROME2")
        ds.save_as(folder / name, enforce_file_format=True)
